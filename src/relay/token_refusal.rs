//! What to do if the relay refuses an access token that was just issued.
//!
//! Sources: Microsoft Learn, "Authenticate an IMAP, POP or SMTP connection using OAuth", "Enable or
//! disable SMTP AUTH in Exchange Online", "Role Based Access Control for Applications in Exchange
//! Online"; texts of refusals as reported up to 2026.

use crate::config::{CredentialSource, ProviderLogin, Smtp};
use crate::outcome::Reply;
use crate::refusal::sender_side_remedy;

/// The remedy, of several lines if several causes must be checked.
pub fn remedy(smtp: &Smtp, reply: &Reply) -> String {
    let Some(login) = &smtp.login else {
        return String::new();
    };
    let app = match &login.credential {
        CredentialSource::Microsoft(it) => Some(it.client_id.as_str()),
        _ => None,
    };
    let is_microsoft = matches!(login.credential, CredentialSource::Microsoft(_))
        || (smtp.provider).is_some_and(|it| it.login == ProviderLogin::Microsoft);
    if is_microsoft {
        return exchange(&reply.text.to_lowercase(), &quoted(&login.username), app);
    }
    let other = sender_side_remedy(reply).filter(|_| !matches!(reply.code, 530 | 535));
    if let Some(other) = other {
        return other.to_owned();
    }
    let source = match login.credential {
        CredentialSource::Issuer(_) => "that `smtp.oauth.scope` is what the relay expects",
        _ => "that `smtp.token_command` prints a fresh token",
    };
    format!(
        "check {source}, and that the token is for this mailbox and has the permission to send (SMTP.Send or SMTP.SendAsApp)"
    )
}

/// The remedy for a refusal of Exchange Online with this text, in lower case. `app` is the id of the app
/// registration, if it is known.
fn exchange(text: &str, mailbox: &str, app: Option<&str>) -> String {
    if text.contains("smtpclientauthentication is disabled for the mailbox") {
        return format!(
            "SMTP AUTH is off for the mailbox; turn it on in Exchange Online PowerShell:\n   \
             Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false"
        );
    }
    if text.contains("smtpclientauthentication is disabled") {
        return format!(
            "SMTP AUTH is off for the organization; turn it on for the mailbox alone,\n\
             in Exchange Online PowerShell:\n   \
             Set-CASMailbox -Identity {mailbox} -SmtpClientAuthenticationDisabled $false\n\
             or for all mailboxes:\n   \
             Set-TransportConfig -SmtpClientAuthenticationDisabled $false"
        );
    }
    if text.contains("basic authentication is") {
        return "Exchange Online took the login for a password; use the table `[microsoft]`\n\
                (docs/microsoft365.md), and look for a proxy that changes the login"
            .into();
    }
    if text.contains("security defaults") {
        return "the security defaults of the tenant block this login: use the table `[microsoft]`\n\
                (docs/microsoft365.md), or ask the administrator to allow it"
            .into();
    }
    if text.contains("federated sts") {
        return "the federation service (AD FS) of the tenant does not answer as Exchange Online\n\
                expects: the administrator must repair it, or choose a mailbox at a managed domain"
            .into();
    }
    if text.contains("did not meet the criteria") {
        let app = app.unwrap_or("of the token");
        return format!(
            "a Conditional Access policy blocks the application {app}:\n\
             see the service principal sign-ins in Microsoft Entra (Monitoring > Sign-in logs),\n\
             and exclude the application, or allow the address of this machine"
        );
    }
    let smtp_auth = format!(
        "SMTP AUTH is on: False at the mailbox, or nothing there and False at the organization:\n   \
         Get-CASMailbox -Identity {mailbox} | Format-List SmtpClientAuth*\n   \
         Get-TransportConfig | Format-List SmtpClientAuth*"
    );
    let Some(app) = app else {
        return format!(
            "Exchange Online refuses the token. Check in this order (docs/microsoft365.md):\n\
             1. it is fresh and for {mailbox}: a token of its user with the scope\n   \
             https://outlook.office.com/SMTP.Send, or of an application with SMTP.SendAsApp\n\
             2. {smtp_auth}\n\
             3. no Conditional Access policy blocks the sign-in: see the sign-in logs in Microsoft Entra\n\
             A change may take some minutes."
        );
    };
    format!(
        "Microsoft Entra issued the token, but Exchange Online refuses it.\n\
         Check in this order, in Exchange Online PowerShell (docs/microsoft365.md):\n\
         1. ObjectId is that of the enterprise application, not of the app registration:\n   \
         Get-ServicePrincipal -Identity {app} | Format-List ObjectId\n\
         2. the application has SMTP.SendAsApp with admin consent, and FullAccess to the mailbox:\n   \
         Get-MailboxPermission -Identity {mailbox}\n   \
         or, by RBAC for Applications and without SMTP.SendAsApp, InScope is True:\n   \
         Test-ServicePrincipalAuthorization -Identity {app} `\n     \
         -Resource {mailbox}\n\
         3. {smtp_auth}\n\
         4. no Conditional Access policy blocks the application: see its service principal sign-ins\n   \
         in Microsoft Entra (Monitoring > Sign-in logs)\n\
         A change may take some minutes."
    )
}

/// A value of a PowerShell command, in quotes if it is more than a plain word.
fn quoted(value: &str) -> String {
    let plain = |it: char| it.is_ascii_alphanumeric() || matches!(it, '.' | '_' | '-' | '+');
    let mut parts = value.split('@');
    let is_plain =
        parts.all(|it| !it.is_empty() && it.chars().all(plain)) && !value.starts_with('-');
    if is_plain {
        value.to_owned()
    } else {
        format!("'{}'", value.replace('\'', "''"))
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn a_name_is_quoted_for_powershell_if_it_is_no_word() {
        for (value, expected) in [
            ("access@contoso.example", "access@contoso.example"),
            ("o'hara; x@contoso.example", "'o''hara; x@contoso.example'"),
            ("-x@contoso.example", "'-x@contoso.example'"),
            ("@x", "'@x'"),
            ("a$(b)@c", "'a$(b)@c'"),
        ] {
            assert_eq!(quoted(value), expected);
        }
    }
}

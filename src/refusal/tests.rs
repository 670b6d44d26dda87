use super::sender_side::{
    ACCOUNT, APP_PASSWORD, BLOCKED, CLIENT, DOMAIN, HELLO, IDENTITY, LOGIN, MAILBOX, OAUTH, QUOTA,
    RELAYING, SENDER, TLS, UNKNOWN_SENDER,
};
use super::*;
use crate::outcome::testing::reply;
use Refusal::{Recipient, SenderSide, Throttle, Undetermined};

fn sender() -> SenderIdentity {
    SenderIdentity::new(
        &Address::parse("access@contoso.example").unwrap(),
        Some("relay-user"),
        Some("mailer.contoso.example"),
        Some("192.0.2.7".parse().unwrap()),
    )
}

fn classified(phase: Phase, text: &str) -> Refusal {
    let recipient = Address::parse("bob@fabrikam.example").unwrap();
    classify(phase, &reply(text), &sender(), &recipient)
}

/// What relays say about a mailbox, at RCPT.
const ABOUT_THE_RECIPIENT: [&str; 102] = [
    // Codes alone.
    "550 5.1.1",
    "550 5.1.1 unknown",
    "553 5.1.3 bad destination mailbox syntax",
    "551 5.1.6 moved, no forwarding address",
    "556 5.1.10 recipient domain has a null MX",
    "550 5.2.1 closed",
    "552 5.2.2 no room",
    // Exchange Online and Exchange Server.
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient bob@fabrikam.example not found by SMTP address lookup",
    "550 5.1.1 RESOLVER.ADR.ExRecipNotFound; not found",
    "550 RESOLVER.ADR.RecipientNotFound; not found",
    "550 5.1.1 User unknown",
    "550 5.2.1 Mailbox cannot be accessed: mailbox disabled, not accepting messages",
    "554 5.2.2 mailbox full",
    "552 5.2.2 RESOLVER.QUOTA; message would exceed the mailbox's quota",
    // Postfix.
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown in local recipient table",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown in virtual mailbox table",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown in virtual alias table",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown in relay recipient table",
    "550 5.1.0 <Bob@Fabrikam.Example>: Recipient address rejected: User unknown",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: undeliverable address: host mx.fabrikam.example[198.51.100.3] said: 550 5.1.1 User unknown (in reply to RCPT TO command)",
    "550 5.4.1 <bob@fabrikam.example>: Recipient address rejected: unknown user",
    "552 5.2.2 <bob@fabrikam.example>: Quota exceeded (mailbox for user is full)",
    // Exim and cPanel.
    "550 Unknown user",
    "550 No such user here",
    "550 No Such User Here\"",
    "550 <bob@fabrikam.example>: Unknown user",
    "550 <bob@fabrikam.example> User unknown",
    "550 No such person at this address",
    "550 unknown local part bob in <bob@fabrikam.example>",
    "550 Mailbox full",
    // Sendmail.
    "550 5.1.1 <bob@fabrikam.example>... User unknown",
    "550 5.1.1 bob@fabrikam.example... User unknown",
    "550 <bob@fabrikam.example>... No such user",
    // qmail and netqmail with validrcptto.
    "550 sorry, no mailbox here by that name. (#5.1.1)",
    "550 sorry, no mailbox here by that name (#5.1.1 - chkuser)",
    "553 sorry, this recipient is in my badrecipientto list (#5.1.1)",
    "552 sorry, that user has no room left (#5.2.2)",
    // OpenSMTPD, Courier, hMailServer, MDaemon, Lotus, Zimbra, Kerio, CommuniGate.
    "550 5.1.1 Recipient rejected",
    "550 User unknown.",
    "550 5.1.1 User unknown; rejecting",
    "550 bob@fabrikam.example... No such user",
    "550 Unknown user: bob@fabrikam.example",
    "550 bob@fabrikam.example user unknown",
    "550 bob unknown user account",
    "550 Recipient unknown <bob@fabrikam.example>",
    "550 Mailbox not found",
    "550 5.1.1 mailbox unknown",
    "553 Mailbox does not exist",
    // Google.
    "550 5.1.1 The email account that you tried to reach does not exist. Please try double-checking the recipient's email address for typos or unnecessary spaces. Learn more at https://support.google.com/mail/?p=NoSuchUser q12-20020a05 - gsmtp",
    "550 5.2.1 The email account that you tried to reach is disabled. Learn more at https://support.google.com/mail/?p=DisabledUser - gsmtp",
    "550 The email account that you tried to reach is inactive. - gsmtp",
    "552 5.2.2 The email account that you tried to reach is over quota. Please direct the recipient to https://support.google.com/mail/?p=OverQuotaPerm - gsmtp",
    "550 The account you tried to reach does not exist - gsmtp",
    // Yahoo, AOL.
    "554 delivery error: dd This user doesn't have a yahoo.example account (bob@fabrikam.example) [0] - mta1.mail.bf1.yahoo.example",
    "554 delivery error: dd This user doesn\u{2019}t have a yahoo.example account - mta1",
    "554 delivery error: dd Requested mail action aborted, mailbox not found - mta2",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: fabrikam.example",
    // Proofpoint, Mimecast, Barracuda, Cisco, Trend Micro, Sophos, Symantec.
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown - proofpoint",
    "550 5.1.1 User Unknown - https://pphosted.example/",
    "550 Invalid Recipient - https://community.mimecast.com/docs/DOC-1369#550 [x1Yz.uk1]",
    "550 permanent failure for one or more recipients (bob@fabrikam.example:550 5.1.1 User unknown)",
    "550 #5.1.0 Address rejected. User does not exist",
    "550 5.1.1 unknown recipient",
    "550 Recipient does not exist",
    "550 Recipient not found",
    // Hosters: OVH, IONOS, Strato, Gandi, Infomaniak, Zoho, Orange, Mail.ru.
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: User unknown (OVH)",
    "550 unknown or illegal alias: bob@fabrikam.example",
    "550 5.1.1 Mailbox is disabled",
    "552 5.2.2 Mailbox is over quota",
    "550 5.1.1 User does not exist - <bob@fabrikam.example>",
    "550 5.1.1 Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]",
    "550 Adresse d au moins un destinataire invalide. OFR_416",
    "550 no such address here",
    "550 The user was not found on this server: user was not found",
    // Other languages.
    "550 Benutzer unbekannt",
    "550 Empfänger existiert nicht",
    "550 Das Postfach ist deaktiviert: Postfach ist deaktiviert",
    "552 Das Postfach ist voll: Postfach ist voll",
    "550 <bob@fabrikam.example>: Utilisateur inconnu",
    "550 Destinataire inconnu",
    "552 Boite aux lettres pleine",
    "550 Usuario desconocido",
    "552 El buzón está lleno",
    "550 Utente sconosciuto",
    "552 Casella di posta piena",
    "550 Usuário inexistente",
    "552 Caixa postal cheia",
    "550 Onbekende gebruiker",
    "552 Mailbox vol",
    "550 Nieznany użytkownik",
    "552 Skrzynka pełna",
    "550 Neznámý uživatel",
    "552 Schránka je plná",
    "550 Okänd användare",
    "550 Пользователь не найден",
    "552 Почтовый ящик переполнен",
    "550 Kullanıcı bulunamadı",
    "552 Posta kutusu dolu",
    "550 宛先のユーザは存在しません",
    "550 用户不存在",
    "552 邮箱已满",
    "550 존재하지 않는 사용자",
];

/// What relays say about the sender, and what to do about it.
const ABOUT_THE_SENDER: [(&str, &str); 83] = [
    (
        "530 5.7.0 Must issue a STARTTLS command first. q12 - gsmtp",
        TLS,
    ),
    ("530 Must issue a STARTTLS command first", TLS),
    ("550 5.7.10 Encryption required", TLS),
    ("554 5.7.0 TLS is required for this recipient", TLS),
    (
        "530 5.7.57 Client not authenticated to send mail. [AM0PR04]",
        LOGIN,
    ),
    (
        "530 5.7.57 SMTP; Client was not authenticated to send anonymous mail during MAIL FROM",
        LOGIN,
    ),
    ("530 5.7.0 Authentication required", LOGIN),
    ("550 5.7.1 Authentication is required for relay", LOGIN),
    ("530 whatever", LOGIN),
    ("535 5.7.3 Authentication unsuccessful", LOGIN),
    (
        "535 5.7.8 Error: authentication failed: authentication failure",
        LOGIN,
    ),
    (
        "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
        LOGIN,
    ),
    (
        "550 5.7.30 Basic authentication is not supported for Client Submission.",
        OAUTH,
    ),
    ("535 5.7.30 Basic authentication is not supported", OAUTH),
    (
        "550 5.7.60 SMTP; Client does not have permissions to send as this sender",
        SENDER,
    ),
    (
        "554 5.2.252 SendAsDenied; a@x.example not allowed to send as b@x.example",
        SENDER,
    ),
    (
        "554 5.2.0 STOREDRV.Submission.Exception:SendAsDeniedException.MapiExceptionSendAsDenied; Failed",
        SENDER,
    ),
    (
        "553 5.7.1 <access@contoso.example>: Sender address rejected: not owned by user relay-user",
        SENDER,
    ),
    ("550 5.2.252", SENDER),
    (
        "554 5.2.0 STOREDRV.Submission.Exception:SubmissionQuotaExceededException; Failed to process message",
        QUOTA,
    ),
    (
        "554 5.2.2 mailbox full; STOREDRV.Submission.Exception:QuotaExceededException.MapiExceptionShutoffQuotaExceeded",
        MAILBOX,
    ),
    (
        "554 5.2.0 STOREDRV.Submission.Exception:OutboundSpamException; Failed to process message",
        BLOCKED,
    ),
    (
        "550 5.1.8 Access denied, bad outbound sender AS(42004)",
        BLOCKED,
    ),
    (
        "550 5.1.8 <access@contoso.example>: Sender address rejected: Domain not found",
        UNKNOWN_SENDER,
    ),
    (
        "550 5.1.7 <access@contoso.example>: Sender address rejected: undeliverable address",
        UNKNOWN_SENDER,
    ),
    ("550 5.1.7 bad address", UNKNOWN_SENDER),
    ("550 5.1.8 bad domain", UNKNOWN_SENDER),
    ("550 Sender verify failed", UNKNOWN_SENDER),
    (
        "550 Verification failed for <access@contoso.example> No Such User Here Sender verify failed",
        UNKNOWN_SENDER,
    ),
    (
        "553 5.1.8 <access@contoso.example>... Domain of sender address access@contoso.example does not exist",
        UNKNOWN_SENDER,
    ),
    (
        "550 5.1.90 Your message can't be sent because you've reached your daily limit for message recipients",
        QUOTA,
    ),
    ("550 5.1.90", QUOTA),
    (
        "504 5.5.2 <mailer>: Helo command rejected: need fully-qualified hostname",
        HELLO,
    ),
    (
        "450 4.7.1 <mailer>: Helo command rejected: Host not found",
        "",
    ),
    (
        "554 5.7.1 <unknown[192.0.2.7]>: Client host rejected: Access denied",
        CLIENT,
    ),
    (
        "550 5.7.64 TenantAttribution; Relay Access Denied SMTP",
        RELAYING,
    ),
    ("550 5.7.64", RELAYING),
    (
        "554 5.7.1 <bob@fabrikam.example>: Relay access denied",
        RELAYING,
    ),
    ("550 5.7.1 Unable to relay", RELAYING),
    (
        "550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain",
        RELAYING,
    ),
    (
        "550 5.7.1 <bob@fabrikam.example>... Relaying denied",
        RELAYING,
    ),
    ("550 relay not permitted", RELAYING),
    (
        "553 sorry, that domain isn't in my list of allowed rcpthosts (#5.7.1)",
        RELAYING,
    ),
    (
        "550 5.7.1 <DATA>: Data command rejected: limit of 400 rcpts per 24 hours",
        QUOTA,
    ),
    ("550 5.4.5 Daily user sending quota exceeded", QUOTA),
    ("550 5.4.5 Daily SMTP relay limit exceeded for user.", QUOTA),
    (
        "550 5.7.1 Daily SMTP relay limit exceeded for customer.",
        QUOTA,
    ),
    (
        "550 access@contoso.example has exceeded its 24-hour sending limit. Messages to 250 recipients out of 250 allowed have been sent.",
        QUOTA,
    ),
    (
        "550 Domain contoso.example has exceeded the max emails per hour (125/100 (125%)) allowed. Message discarded.",
        QUOTA,
    ),
    (
        "550 5.7.233 Your message can't be sent because your tenant exceeded its daily limit",
        QUOTA,
    ),
    ("550 5.7.232 trial tenant", QUOTA),
    ("550 5.7.236 trial tenant", QUOTA),
    ("550 5.7.235 something new", BLOCKED),
    (
        "550 5.7.705 Access denied, tenant has exceeded threshold",
        BLOCKED,
    ),
    (
        "550 5.7.708 Service unavailable. Access denied, traffic not accepted from this IP",
        BLOCKED,
    ),
    ("550 5.7.700 no", BLOCKED),
    (
        "550 5.7.515 Access denied, sending domain contoso.example does not meet the required authentication level",
        DOMAIN,
    ),
    (
        "550 5.7.26 Unauthenticated email from contoso.example is not accepted",
        DOMAIN,
    ),
    (
        "554 Message rejected: Email address is not verified. The following identities failed the check",
        IDENTITY,
    ),
    (
        "554 Access denied: User `arn` is not authorized to perform `ses:SendRawEmail' on resource",
        IDENTITY,
    ),
    (
        "550 The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved.",
        IDENTITY,
    ),
    (
        "550 5.7.1 rejected: sender address must match the login",
        SENDER,
    ),
    ("535 Authentication Credentials Invalid", LOGIN),
    ("535 Account not subscribed to SES", ACCOUNT),
    ("554 Message rejected: Account is paused", ACCOUNT),
    (
        "554 Message rejected: Mail FROM domain is not verified",
        IDENTITY,
    ),
    ("550 Unauthenticated senders not allowed", LOGIN),
    (
        "550 The 'From' address you supplied (access@contoso.example) is not a Sender Signature on your account. Please add and confirm this address in order to be able to use it in the 'From' field of your messages.",
        IDENTITY,
    ),
    (
        "550 Invalid 'From' address: 'access@contoso.example' is not a verified sender signature.",
        IDENTITY,
    ),
    ("550 Sender signature not confirmed", IDENTITY),
    (
        "550 While your account is pending approval, all recipient addresses must share the same domain as the 'From' address.",
        ACCOUNT,
    ),
    ("550 This account is not approved to send email.", ACCOUNT),
    (
        "550 Sandbox subdomains are for test purposes only. Please add your own domain or add the address to authorized recipients in Account Settings.",
        IDENTITY,
    ),
    ("525 5.7.1 Unauthorized IP address", CLIENT),
    ("535 5.7.8 Authentication failed", LOGIN),
    ("550 Sender address is not allowed", SENDER),
    (
        "535 Authentication failure: SMTP AUTH failed with the remote server",
        LOGIN,
    ),
    ("550 sorry, too many emails (#5.7.1)", QUOTA),
    (
        "550 5.4.5 Daily user sending limit exceeded. For more information on Gmail sending limits go to https://support.google.com/a/answer/166852 - gsmtp",
        QUOTA,
    ),
    (
        "534 5.7.9 Application-specific password required. - gsmtp",
        APP_PASSWORD,
    ),
    (
        "535 5.7.8 Username and Password not accepted. - gsmtp",
        LOGIN,
    ),
    (
        "550 5.7.0 Mail relay denied [192.0.2.7]. Invalid credentials for relay for one of the domains in: contoso.example",
        RELAYING,
    ),
    (
        "550 5.7.1 Invalid credentials for relay [192.0.2.7]. The IP address you've registered in your Workspace SMTP Relay service doesn't match the domain of the account",
        RELAYING,
    ),
];

/// Refusals without evidence.
const UNDETERMINED: [&str; 64] = [
    "550",
    "550 no",
    "554 5.0.0 error",
    "550 5.7.1 Access denied",
    "550 5.7.1 message content rejected",
    "550 5.7.1 rejected by policy",
    "554 5.7.1 Service unavailable; Client host [192.0.2.7] blocked using zen.spamhaus.org",
    "554 5.7.1 <bob@fabrikam.example>: Recipient address rejected: Access denied",
    "554 5.7.1 <bob@fabrikam.example>: Recipient address rejected: Rejected by SPF",
    "550 5.1.1 <bob@fabrikam.example>: Recipient address rejected: your account may not write to it",
    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281) [DB5EUR01.prod.protection.outlook.com]",
    "550 5.7.703 Your message can't be delivered because messages to the recipient are blocked by your organization",
    "552 5.3.4 Message size exceeds fixed limit",
    "550 Unrouteable address",
    "550 Unrouteable address for domain fabrikam.example",
    "550 5.1.2 <bob@fabrikam.example>: Recipient address rejected: Domain not found",
    "550 Requested action not taken: mailbox unavailable",
    "550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302). [AM7EUR03]",
    "550 Administrative prohibition",
    "550 5.1.0 address rejected",
    "550 Invalid recipient",
    "550 permanent failure for one or more recipients (bob@fabrikam.example:blocked)",
    "550 5.7.133 RESOLVER.RST.SenderNotAuthenticatedForGroup; authentication required; Delivery restriction check failed because the sender was not authenticated when sending to this group",
    "550 5.7.1 Unauthorized relay user unknown",
    // Direct evidence, but about the sender or with one of its names.
    "550 5.1.1 <access@contoso.example>: User unknown",
    "550 5.1.1 user unknown in contoso.example",
    "550 5.1.1 user unknown (mail from mx.contoso.example)",
    "550 5.1.1 no such user [192.0.2.7]",
    "550 5.1.1 relay-user: no such user",
    "550 unknown user relay-user",
    "550 5.2.1 mailbox disabled (mailer.contoso.example)",
    "550 unknown user or wrong password",
    "550 unknown username",
    "550 unknown user-agent",
    "550 sender: no such user",
    "550 5.1.1 sender unknown",
    "550 5.2.1 your account is disabled",
    "550 mailbox disabled for sending",
    "550 Account disabled",
    "550 This account has been disabled",
    "554 account suspended",
    "550 user not authorized",
    "550 Absender: Benutzer unbekannt",
    "550 Expéditeur: utilisateur inconnu",
    "550 5.1.1 user unknown or blocked by spam filter",
    "550 quota exceeded",
    "550 5.7.1 user over limit",
    "550 5.3.0 no such host",
    "550 no such domain",
    "550 unknown domain",
    "550 5.7.1 recipient not allowed",
    "550 5.7.1 the recipient does not accept mail from you",
    "550 too many recipients",
    "554 5.4.14 Hop count exceeded - possible mail loop",
    "571 Delivery not authorized, message refused",
    "554 Transaction failed",
    "554 Message rejected: Address is on the suppression list for your account",
    "552 Message is too long.",
    "550 You tried to send to recipient(s) that have been marked as inactive. Found inactive addresses: bob@fabrikam.example. Inactive recipients are ones that have generated a hard bounce, a spam complaint, or a manual suppression.",
    "451 Temporary service failure",
    "421 Domain mg.contoso.example is not allowed to send: Please activate your Mailgun account. Check your inbox or log in to your control panel to resend the activation email.",
    // Temporary ones.
    "450 4.7.1 try later",
    "450 4.1.1 <bob@fabrikam.example>: Recipient address rejected: unverified address: User unknown",
    "452 4.2.2 The recipient's mailbox is full",
];

/// Requests to slow down.
const THROTTLES: [&str; 27] = [
    "432 4.3.2 Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending",
    "432 4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
    "454 Throttling failure: Maximum sending rate exceeded.",
    "454 4.7.0 Throttling failure: Daily message quota exceeded",
    "454 4.7.0 Too many login attempts, please try again later",
    "451 4.7.500 Server busy. Please try again later from [192.0.2.1]",
    "450 4.2.1 Peak SMTP relay limit exceeded for customer.",
    "421 4.7.0 Too many messages in this session",
    "450 4.7.1 Error: too much mail, rate limit 30 exceeded",
    "450 too many requests",
    "450 4.7.1 Error: too many requests from 192.0.2.7",
    "451 4.7.1 Message rate limit exceeded",
    "421 4.7.0 [192.0.2.7] Our system has detected an unusual rate of unsolicited mail",
    "452 4.3.1 slow down",
    "450 4.7.1 rate-limited, please wait",
    "450 4.7.1 Error: too much mail from 192.0.2.7",
    "421 too many concurrent SMTP connections",
    "451 throttled",
    "450 your sending rate is too high",
    "421 4.7.66 rate limit",
    "421 Too many concurrent SMTP connections",
    "451 Authentication failed: Maximum credits exceeded",
    "452 Too many recipients received this hour (throttled)",
    "450 too frequent connects from 192.0.2.7, please try again later.",
    "450 4.5.127 Message rejected. Excessive message rate from sender. For more information see https://aka.ms/EXOSmtpErrors",
    "450 Requested mail action not taken: mailbox unavailable Mail send limit exceeded.",
    "421 Domain mg.contoso.example is not allowed to send: recipient limit exceeded, try again after Mon, 25 Aug 2025 07:00:31 UTC",
];

/// Temporary refusals of one message or one mailbox.
const NO_THROTTLES: [&str; 10] = [
    "450 4.2.0 <bob@fabrikam.example>: Recipient address rejected: Greylisted, see http://postgrey.example/",
    "451 4.7.1 Greylisting in action, please come back later; server busy",
    "452 4.2.2 The recipient's mailbox is full",
    "450 4.1.1 unverified address",
    "450 4.2.1 The user you are trying to contact is receiving mail too quickly.",
    "450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.",
    "432 4.3.2 STOREDRV.Deliver; recipient thread limit exceeded",
    "450 4.7.1 a separate corporate server moderates this",
    "451 4.3.0 cannot operate",
    "450 4.7.1 try again in 300 seconds",
];

#[test]
fn refusals_about_a_mailbox_are_direct_evidence() {
    for text in ABOUT_THE_RECIPIENT {
        assert_eq!(classified(Phase::Rcpt, text), Recipient, "{text}");
    }
}

#[test]
fn refusals_about_the_sender_have_a_remedy_by_text_before_code() {
    for (text, remedy) in ABOUT_THE_SENDER {
        let (expected, about) = match remedy {
            "" => (Undetermined, None),
            remedy => (SenderSide(remedy), Some(remedy)),
        };
        for phase in [Phase::Rcpt, Phase::Data, Phase::Dot] {
            assert_eq!(classified(phase, text), expected, "{text}");
        }
        assert_eq!(sender_side_remedy(&reply(text)), about, "{text}");
    }
}

#[test]
fn all_other_refusals_are_undetermined() {
    for text in UNDETERMINED {
        for phase in [Phase::Rcpt, Phase::Data, Phase::Body, Phase::Dot] {
            assert_eq!(classified(phase, text), Undetermined, "{text}");
        }
    }
}

#[test]
fn a_full_mailbox_is_evidence_at_rcpt_only() {
    for text in [
        "552 5.2.2 no room",
        "552 Mailbox is full",
        "552 Das Postfach ist voll: Postfach ist voll",
    ] {
        assert_eq!(classified(Phase::Rcpt, text), Recipient, "{text}");
        for phase in [Phase::Data, Phase::Body, Phase::Dot] {
            assert_eq!(classified(phase, text), Undetermined, "{text}");
        }
    }
    for phase in [Phase::Data, Phase::Body, Phase::Dot] {
        assert_eq!(classified(phase, "550 5.1.1 gone"), Recipient);
        assert_eq!(classified(phase, "550 No such user"), Recipient);
    }
}

#[test]
fn the_recipient_s_address_is_not_searched() {
    let table = [
        // An address that looks like evidence, a throttle, or a refusal of the sender.
        (
            "user.unknown@a.example",
            "550 5.7.1 <user.unknown@a.example>: no",
            Undetermined,
        ),
        (
            "no-such-user@a.example",
            "550 no-such-user@a.example: no",
            Undetermined,
        ),
        (
            "rate@rate.example",
            "450 4.2.0 <rate@rate.example>: later",
            Undetermined,
        ),
        (
            "sender@a.example",
            "550 5.1.1 <sender@a.example>: User unknown",
            Recipient,
        ),
        (
            "relaying.denied@a.example",
            "550 5.1.1 <Relaying.Denied@A.example>: gone",
            Recipient,
        ),
        // A colleague at the sender's domain.
        (
            "eve@contoso.example",
            "550 5.1.1 <eve@contoso.example>: User unknown",
            Recipient,
        ),
        (
            "eve@contoso.example",
            "550 5.1.1 no eve at contoso.example",
            Undetermined,
        ),
        (
            "access@contoso.example",
            "550 5.1.1 <access@contoso.example>: User unknown",
            Recipient,
        ),
        // As written, and as sent.
        (
            "zoe@bücher.example",
            "550 5.1.1 User zoe@xn--bcher-kva.example unknown",
            Recipient,
        ),
        (
            "zoe@bücher.example",
            "550 User <zoe@bücher.example> unknown",
            Recipient,
        ),
        (
            "bob@b.example",
            "550 unknown user <bob@b.example>",
            Recipient,
        ),
        (
            "bob@b.example",
            "550 <bob@b.example> does not like user <eve@b.example>",
            Undetermined,
        ),
    ];
    for (recipient, text, expected) in table {
        let recipient = Address::parse(recipient).unwrap();
        let got = classify(Phase::Rcpt, &reply(text), &sender(), &recipient);
        assert_eq!(got, expected, "{text}");
    }
}

#[test]
fn only_replies_that_ask_to_slow_down_are_a_throttle() {
    for text in ["432 no", "454 4.7.0 no", "451 4.7.500 x", "421 Server busy"] {
        assert!(is_throttle(&reply(text)), "{text}");
    }
    for text in [
        "451 4.3.0 later",
        "450 Greylisted, server busy",
        "550 slow down",
        "250 ok",
    ] {
        assert!(!is_throttle(&reply(text)), "{text}");
    }
}

#[test]
fn r16_throttling_differs_from_greylisting_and_a_busy_mailbox() {
    for text in THROTTLES {
        assert_eq!(classified(Phase::Rcpt, text), Throttle, "{text}");
        assert!(is_throttle(&reply(text)), "{text}");
    }
    for text in NO_THROTTLES {
        assert_eq!(classified(Phase::Rcpt, text), Undetermined, "{text}");
    }
    assert_eq!(classified(Phase::Dot, "550 5.7.1 rate limit"), Undetermined);
}

#[test]
fn every_phrase_is_evidence_and_in_lower_case() {
    for (languages, phase) in [
        (words::UNKNOWN, Phase::Dot),
        (words::DISABLED, Phase::Dot),
        (words::FULL, Phase::Rcpt),
    ] {
        for phrase in languages.iter().flat_map(|it| it.split('|')) {
            let text = phrase.replace('+', " ");
            assert_eq!(text, text.to_lowercase());
            let said = format!("550 {}", text.to_uppercase());
            // Some letters do not survive the round trip through upper case.
            let said = if said.to_lowercase().ends_with(&text) {
                said
            } else {
                format!("550 {text}")
            };
            assert_eq!(classified(phase, &said), Recipient, "{said}");
        }
    }
}

#[test]
fn sender_names_match_whole_words_only() {
    let us = sender();
    for text in [
        "access@contoso.example",
        "from <access@contoso.example>",
        "mx.contoso.example",
        "[192.0.2.7]",
        "relay-user:",
    ] {
        assert!(us.is_named_in(text), "{text}");
    }
    for text in [
        "notcontoso.example",
        "192.0.2.77",
        "relay-user2",
        "",
        "relay",
    ] {
        assert!(!us.is_named_in(text), "{text}");
    }
    // A host name without a dot and an address literal do not count.
    let address = Address::parse("a@b.example").unwrap();
    let bare = SenderIdentity::new(&address, Some(""), Some("mailer"), None);
    assert!(!bare.is_named_in("mailer"));
    let literal = SenderIdentity::new(&address, None, Some("[192.0.2.7]"), None);
    assert!(!literal.is_named_in("[192.0.2.7]"));
}

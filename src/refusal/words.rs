//! What relays say about mailboxes, in lower case, by language. Phrases are separated by `|`; all parts of
//! a phrase, joined by `+`, must be in the text.
//!
//! Only phrases that cannot refer to a sender or a policy are listed. "Mailbox unavailable" is not:
//! RFC 5321 §4.2.3 gives that text to policy refusals, too.

/// There is no such user or mailbox.
pub const UNKNOWN: [&str; 13] = [
    // English.
    "user unknown|user is unknown|unknown user|user not known|user not found|user was not found|\
     no such user|nosuchuser|no user by that name|not a known user|user does not exist|\
     user doesn't exist|this user doesn't have a|unknown recipient|recipient unknown|\
     recipient is unknown|recipient not found|recipient+not found by smtp address lookup|\
     recipientnotfound|exrecipnotfound|no such recipient|recipient does not exist|\
     recipient doesn't exist|recipient address does not exist|recipient no longer exists|\
     invalid recipient+mimecast|unknown mailbox|mailbox unknown|mailbox not found|no such mailbox|\
     no mailbox here by that name|no mailbox by that name|mailbox does not exist|\
     mailbox doesn't exist|bad destination mailbox address|unknown local part|unknown local-part|\
     unknown or illegal alias|no such address here|no such person at this address|\
     account that you tried to reach does not exist|account you tried to reach does not exist",
    // German.
    "benutzer unbekannt|unbekannter benutzer|benutzer existiert nicht|benutzer nicht gefunden|\
     empfänger unbekannt|empfaenger unbekannt|unbekannter empfänger|unbekannter empfaenger|\
     empfänger existiert nicht|empfaenger existiert nicht|empfänger nicht gefunden|\
     postfach existiert nicht|postfach nicht gefunden|postfach unbekannt|kein solcher benutzer|\
     kein solches postfach",
    // French.
    "utilisateur inconnu|utilisateur inexistant|destinataire inconnu|destinataire inexistant|\
     le destinataire n'existe pas|l'utilisateur n'existe pas|boîte aux lettres inexistante|\
     boite aux lettres inexistante|boîte inconnue|boite inconnue|\
     adresse d au moins un destinataire invalide+ofr_416",
    // Spanish.
    "usuario desconocido|usuario no encontrado|usuario inexistente|el usuario no existe|\
     destinatario desconocido|destinatario inexistente|el destinatario no existe|buzón inexistente|\
     buzon inexistente|el buzón no existe|el buzon no existe",
    // Italian.
    "utente sconosciuto|utente inesistente|l'utente non esiste|destinatario sconosciuto|\
     destinatario inesistente|casella inesistente|casella di posta inesistente|casella non trovata",
    // Portuguese.
    "usuário desconhecido|usuario desconhecido|usuário inexistente|usuário não existe|\
     usuário não encontrado|utilizador desconhecido|utilizador inexistente|\
     destinatário desconhecido|destinatário inexistente|destinatário não existe|\
     caixa postal inexistente|caixa de correio inexistente",
    // Dutch.
    "onbekende gebruiker|gebruiker onbekend|gebruiker bestaat niet|onbekende ontvanger|\
     ontvanger onbekend|ontvanger bestaat niet|mailbox bestaat niet|postvak bestaat niet",
    // Polish.
    "nieznany użytkownik|nieznany uzytkownik|użytkownik nieznany|użytkownik nie istnieje|\
     nie ma takiego użytkownika|nie ma takiego uzytkownika|nieznany odbiorca|odbiorca nie istnieje|\
     skrzynka nie istnieje",
    // Czech.
    "neznámý uživatel|neznamy uzivatel|uživatel neexistuje|neznámý příjemce|příjemce neexistuje|\
     schránka neexistuje",
    // Swedish.
    "okänd användare|okand anvandare|användaren finns inte|okänd mottagare|mottagaren finns inte|\
     brevlådan finns inte",
    // Russian.
    "пользователь не найден|неизвестный пользователь|нет такого пользователя|\
     пользователь не существует|получатель не найден|почтовый ящик не существует|\
     почтовый ящик не найден",
    // Turkish.
    "kullanıcı bulunamadı|bilinmeyen kullanıcı|böyle bir kullanıcı yok|alıcı bulunamadı|\
     posta kutusu bulunamadı",
    // Japanese, Chinese, Korean.
    "宛先不明|宛先のユーザは存在しません|宛先のユーザーは存在しません|メールボックスが存在しません|用户不存在|收件人不存在|收件人地址不存在|使用者不存在|收件者不存在|\
     존재하지 않는 사용자|존재하지 않는 수신자",
];

/// The mailbox is closed.
pub const DISABLED: [&str; 13] = [
    // English.
    "mailbox disabled|mailbox is disabled|mailbox has been disabled|mailbox is inactive|\
     mailbox inactive|recipient disabled|recipient is disabled|recipient's mailbox is disabled|\
     account that you tried to reach is disabled|account that you tried to reach is inactive",
    // German.
    "postfach deaktiviert|postfach ist deaktiviert|postfach ist gesperrt",
    // French.
    "boîte aux lettres désactivée|boite aux lettres desactivee|destinataire désactivé",
    // Spanish.
    "buzón deshabilitado|buzón desactivado",
    // Italian.
    "casella disattivata|casella disabilitata|casella di posta disabilitata",
    // Portuguese.
    "caixa postal desativada|caixa de correio desativada",
    // Dutch.
    "mailbox uitgeschakeld|postvak is uitgeschakeld",
    // Polish.
    "skrzynka zablokowana|skrzynka wyłączona|skrzynka nieaktywna",
    // Czech.
    "schránka je zablokována|schránka je deaktivována",
    // Swedish.
    "brevlådan är avstängd|brevlådan är inaktiverad",
    // Russian.
    "почтовый ящик заблокирован|почтовый ящик отключен",
    // Turkish.
    "posta kutusu devre dışı",
    // Japanese, Chinese, Korean.
    "メールボックスは無効|收件人被禁用|邮箱已停用|信箱已停用",
];

/// The mailbox is full. Counts at RCPT only.
pub const FULL: [&str; 13] = [
    // English.
    "mailbox full|mailbox is full|mailbox for user is full|mailbox is over quota|\
     mailbox over quota|inbox is full|recipient is over quota|recipient over quota|\
     account that you tried to reach is over quota",
    // German.
    "postfach voll|postfach ist voll|postfach des empfängers ist voll",
    // French.
    "boîte aux lettres pleine|boite aux lettres pleine|boîte pleine|boite pleine|\
     boîte du destinataire est pleine|boite du destinataire est pleine",
    // Spanish.
    "buzón lleno|buzon lleno|el buzón está lleno|el buzon esta lleno",
    // Italian.
    "casella piena|casella di posta piena|casella del destinatario è piena",
    // Portuguese.
    "caixa postal cheia|caixa de correio cheia|caixa de entrada cheia",
    // Dutch.
    "mailbox vol|postvak vol|postvak is vol",
    // Polish.
    "skrzynka pełna|skrzynka jest pełna|skrzynka przepełniona|skrzynka przepelniona",
    // Czech.
    "schránka je plná|schranka je plna",
    // Swedish.
    "brevlådan är full|brevlådan full",
    // Russian.
    "почтовый ящик переполнен|почтовый ящик заполнен",
    // Turkish.
    "posta kutusu dolu",
    // Japanese, Chinese, Korean.
    "メールボックスがいっぱい|メールボックスの容量を超え|邮箱已满|信箱已滿|메일함이 가득|메일함 용량 초과",
];

/// Words with which a refusal may be about the sender, whatever else it says.
pub const NOT_THE_RECIPIENT: &str = "\
    sender|senders|mail from|from address|return path|return-path|envelope-from|\
    authenticate|authenticated|authentication|authorized|authorised|unauthorized|password|login|logon|\
    credentials|user agent|user-agent|helo|ehlo|client host|your account|your mailbox|your address|\
    your domain|your ip|to send|for sending|outbound|storedrv.submission|relaying|to relay|\
    relay access|spam|spamhaus|blocked|blacklist|blacklisted|blocklist|reputation|policy|absender|\
    expéditeur|remitente|mittente|remetente|afzender|отправитель|发件人|寄件者|送信者";

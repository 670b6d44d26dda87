"""The same partners by Python's smtplib: rows read, words filled in, sent, nothing recorded.

python3 smtplib_peer.py MESSAGES-FOLDER JOB-FOLDER PORT
"""
import csv
import pathlib
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid

if "--check" in sys.argv:
    sys.exit()
messages, job, port = map(pathlib.Path, sys.argv[1:4])
html = sorted(messages.glob("*.html"))[0]
text = html.with_suffix(".txt").read_text(encoding="utf-8")
html = html.read_text(encoding="utf-8")


def fill(words, row):
    return words.replace("Ada Partner 0", row["name"]).replace("partner0@company0.example", row["email"])


with smtplib.SMTP("127.0.0.1", int(str(port))) as relay, open(job / "partners.csv", newline="") as rows:
    for row in csv.DictReader(rows):
        message = EmailMessage()
        message["From"] = formataddr(("Contoso Partner Access", "access@contoso.example"))
        message["To"] = formataddr((row["name"], row["email"]))
        message["Subject"] = "Contoso invites you to request access: Project space"
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="contoso.example")
        message.set_content(fill(text, row))
        message.add_alternative(fill(html, row), subtype="html")
        relay.send_message(message)

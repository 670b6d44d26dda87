"""The same job by Python's smtplib and Jinja2: rows read, templates rendered, sent, nothing
verified or recorded.

python3 smtplib_peer.py TEMPLATES JOB-FOLDER PORT
"""
import csv
import json
import pathlib
import smtplib
import sys
from email.message import EmailMessage
from email.utils import formataddr, formatdate, make_msgid

import jinja2

if "--check" in sys.argv:
    sys.exit()
templates, job, port = sys.argv[1:4]
job = pathlib.Path(job)
words = jinja2.Environment(
    loader=jinja2.FileSystemLoader(templates),
    autoescape=lambda name: name.endswith(".html"),
)
words.tests["starting_with"] = lambda text, pat: text.startswith(pat)
context = json.loads((job / "context.json").read_text(encoding="utf-8"))
sender = context["sender"]

with smtplib.SMTP("127.0.0.1", int(port)) as relay, open(job / "partners.csv", newline="") as rows:
    for row in csv.DictReader(rows):
        values = {**context, "partner": row, "locale": row["locale"], "direction": "ltr"}
        subject, text, html = (
            words.get_template(f"{row['locale']}/invitation.{part}").render(values)
            for part in ("subject.txt", "txt", "html")
        )
        message = EmailMessage()
        message["From"] = formataddr((sender["name"], sender["address"]))
        message["To"] = formataddr((row["name"], row["email"]))
        message["Reply-To"] = sender["reply_to"]
        message["Subject"] = subject.strip()
        message["Date"] = formatdate()
        message["Message-ID"] = make_msgid(domain="contoso.example")
        message.set_content(text)
        message.add_alternative(html, subtype="html")
        relay.send_message(message)

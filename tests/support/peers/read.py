"""Prints what Python's email package reads in each file of a folder, as JSON."""

import email
import email.policy
import json
import pathlib
import sys

messages = []
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    defects = [repr(defect) for part in message.walk() for defect in part.defects]
    defects += [repr(defect) for value in message.values() for defect in value.defects]
    [to] = message["To"].addresses
    messages.append(
        {
            "to": to.addr_spec,
            "name": to.display_name,
            "subject": str(message["Subject"]),
            "id": str(message["Message-ID"]),
            "text": message.get_body(("plain",)).get_content(),
            "html": message.get_body(("html",)).get_content(),
            "defects": defects,
        }
    )
json.dump(messages, sys.stdout)

#!/bin/sh
# Prints a JWT for $2, signed with the key $1, that ends in $3 seconds; notes each run in ./runs.
set -e
url() { openssl base64 -A | tr '+/' '-_' | tr -d '='; }
ends=$(($(date +%s) + $3))
echo "$ends" >>runs
signed="$(printf '{"alg":"RS256","typ":"JWT"}' | url).$(printf '{"iss":"@ISSUER@","aud":"@AUDIENCE@","scope":"@SCOPE@","sub":"%s","exp":%d}' "$2" "$ends" | url)"
echo "$signed.$(printf %s "$signed" | openssl dgst -sha256 -sign "$1" -binary | url)"

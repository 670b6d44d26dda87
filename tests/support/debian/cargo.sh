#!/bin/sh
# In place of Cargo in an image without a network: the program is built, and has one library.
set -e
case $1 in
build)
    mkdir -p target/release
    cp /usr/local/bin/program target/release/access-invite
    ;;
tree) echo "memchr v2.8.0 | Unlicense OR MIT" ;;
*) exit 1 ;;
esac

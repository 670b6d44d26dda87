# Runs in a booted Debian with the package: the service as it is shipped, with other commands, and by its timer.
# Prints one line for each step.
set +e
folder=/etc/systemd/system/access-invite.service.d
mkdir -p $folder
start() {
    systemctl daemon-reload
    systemctl start access-invite 2>/dev/null
    echo "$1: $? $(systemctl is-active access-invite)"
}
command() { printf '[Service]\nExecStart=\nExecStart=%s\n' "$1" >$folder/command.conf; }

sudo -u access-invite access-invite init /etc/access-invite

cat >/root/limits.sh <<'END'
grep -E '^(CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status
echo "user: $(id -un)"
touch /etc/access-invite/x 2>/dev/null && echo "/etc: writable" || echo "/etc: read-only"
touch /var/lib/access-invite/x && rm /var/lib/access-invite/x && echo "state: writable"
ls /home/somebody >/dev/null 2>&1 && echo "home: readable" || echo "home: hidden"
test -e /proc/1 && echo "processes of others: readable" || echo "processes of others: hidden"
END
mkdir -p /home/somebody
mv /root/limits.sh /usr/local/bin/limits
command "/bin/sh /usr/local/bin/limits"
start limits
journalctl -o cat -u access-invite

@ENCRYPT@
cp /root/credential.conf $folder/credential.conf
command "/usr/bin/access-invite send --sandbox"
start sandbox
journalctl -o cat -u access-invite | grep received

systemctl daemon-reload
@CHECK@
echo "check: $?"
rm $folder/command.conf
start send
sudo -u access-invite access-invite -c /etc/access-invite/config.toml status

# As enabled, and with a time that comes soon.
echo new@c.example >>/etc/access-invite/partners.csv
mkdir -p /etc/systemd/system/access-invite.timer.d
printf '[Timer]\nOnActiveSec=1s\nAccuracySec=100ms\nRandomizedDelaySec=0\n' >/etc/systemd/system/access-invite.timer.d/soon.conf
systemctl daemon-reload
@ENABLE@
echo "timer: $(systemctl is-active access-invite.timer) $(systemctl is-enabled access-invite.timer)"
mailed() { sudo -u access-invite access-invite -c /etc/access-invite/config.toml status new@c.example 2>&1 | grep -q accepted; }
for _ in $(seq 150); do
    mailed && break
    sleep 0.2
done
mailed && echo "by the timer: mailed" || journalctl -o cat -u access-invite -u access-invite.timer
systemctl stop access-invite.timer

echo "campaign = 1" >/etc/access-invite/config.toml
start failure
echo "failed units: $(systemctl --failed --plain --no-legend | cut -d ' ' -f 1)"
journalctl -o cat -u access-invite | tail -20

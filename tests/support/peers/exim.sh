#!/bin/sh
# Runs Exim, with its configuration in $1, beside a Postfix that its package would remove: the
# packages in $1/packages are installed into a throw-away layer over the whole system, which
# nobody else sees, for it is mounted in a namespace of this process alone, and ends with it.
set -e
layer=$1/layer
mkdir "$layer"
mount -t tmpfs -o size=600m,mode=755 tmpfs "$layer"
mkdir "$layer/upper" "$layer/work" "$layer/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$layer/upper,workdir=$layer/work" "$layer/root"
mount --rbind /dev "$layer/root/dev"
mount -t proc proc "$layer/root/proc"
mkdir -p "$layer/root$1"
mount --bind "$1" "$layer/root$1"
# What is installed must start nothing.
printf '#!/bin/sh\nexit 101\n' >"$layer/root/usr/sbin/policy-rc.d"
chmod 755 "$layer/root/usr/sbin/policy-rc.d"
chroot "$layer/root" env DEBIAN_FRONTEND=noninteractive sh -ec '
  dpkg --remove --force-depends postfix
  dpkg --install "$1"/packages/*.deb
  cp "$1/exim.conf" /etc/exim4/exim4.conf
  mkdir "$1/spool" "$1/log"
  chown -R Debian-exim: "$1/spool" "$1/log" "$1/tls"
  chown nobody:nogroup "$1/mail"
' exim.sh "$1"
exec chroot "$layer/root" exim4 -bdf -q1m

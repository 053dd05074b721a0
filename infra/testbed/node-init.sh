#!/bin/sh
# Process 1 of a cluster of profile `full`: makes the private mounts, then becomes `pause`. Every mount made here or later
# by the node goes away with the mount namespace.
#
#   node-init.sh NODE-FOLDER HOSTNAME PAUSE HOME
set -eu
node=$1 name=$2
shift 2

hostname "$name"
# Sockets, locks and the state of containers. It comes first, because `mount` itself writes to /run/mount.
mount --no-mtab -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock

# A sysfs that shows this network namespace, with the machine's cgroups put back: a new /sys hides them. Under rshared
# the lazy unmount would take /sys/fs/cgroup away too, so that comes last.
mkdir -p "$node/cgroup"
mount --rbind /sys/fs/cgroup "$node/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$node/cgroup" /sys/fs/cgroup
umount -l "$node/cgroup"

# Paths that are compiled in: results of CNI, device plugins, logs of containers.
for place in /var/lib /var/log; do
  mkdir -p "$node$place"
  mount --bind "$node$place" "$place"
done

# The kubelet sets these for the whole machine unless they hold what it wants, so it is shown files that do.
while read -r path value; do
  file=$node/sysctl/$path
  mkdir -p "${file%/*}"
  echo "$value" >"$file"
  mount --bind "$file" "/proc/sys/$path"
done <<END
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
END

echo 1 >/proc/sys/net/ipv4/ip_forward
# Without it, an answer between two pods on the bridge gets past the address translation. It is there with the bridge
# module only.
if [ -e /proc/sys/net/bridge ]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi

# Volumes with mount propagation want a shared tree: shared inside here only, `unshare` has cut it off.
mount --make-rshared /
touch "$node/ready"
exec "$@"

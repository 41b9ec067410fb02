#!/bin/busybox sh
# shellcheck shell=dash
# The first process of the guest: loads the modules, puts this machine's files under changes that
# are thrown away, makes the RDMA device, runs the command and ends the guest. See guest.sh.
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t devtmpfs dev /dev
for module in /modules/*; do
  insmod "$module"
done

mount_share() { # TAG FOLDER OPTIONS
  mount -t 9p -o "trans=virtio,version=9p2000.L,msize=512000,$3" "$1" "$2"
}

mount_share machine /machine ro,cache=loose
mount_share run /run rw,cache=none
mount -t tmpfs -o size=80% changes /changes
mkdir /changes/upper /changes/work
mount -t overlay -o lowerdir=/machine,upperdir=/changes/upper,workdir=/changes/work machine /root

mount -t proc proc /root/proc
mount -t sysfs sysfs /root/sys
mount -t devtmpfs dev /root/dev
mkdir -p /root/dev/shm /root/dev/pts
mount -t tmpfs shm /root/dev/shm
mount -t devpts pts /root/dev/pts
mount -t tmpfs run /root/run
ln -sf /proc/self/fd /root/dev/fd
ip link set lo up

# The functions that start calls.
share() { # TAG FOLDER
  mount_share "$1" "/root$2" rw,cache=mmap
}

network() { # CARD ADDRESS
  hostname "guest-${2##*.}"
  ip link set "$1" mtu 9000 up
  # Queue pairs have more under way than the queue that a card has by default.
  # By its path: else it is the one of busybox, which cannot.
  chroot /root /sbin/ip link set "$1" txqueuelen 100000
  ip addr add "$2/24" dev "$1"
  chroot /root rdma link add rxe0 type rxe netdev "$1"
}

# shellcheck source=/dev/null
. /run/start

cp /run/command /root/run/command
chroot /root /bin/bash /run/command </dev/null >/dev/vport0p1 2>/dev/vport0p2
status=$?
sync
echo "$status" >/run/status
sync
poweroff -f

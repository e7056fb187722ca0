# SPDX-License-Identifier: LGPL-2.1-or-later
"""How the machines of test_systemd_os.py have their root and come to their first kernel: an ext4 file system that initramfs-tools'
initrd finds, and firmware starts UKI A; or a LUKS2 disk that systemd-cryptsetup opens in dracut's initrd, and systemd-boot starts A and
counts its boots.
"""

import hashlib
import os

import rootfs
import scene

PASSPHRASE = "what a person types"
QUESTION = "nter passphrase for disk"
SHARE = "usr/local/share/mkexec"
DRACUT_MODULE = "usr/lib/dracut/modules.d/90mkexec"
DATA_BYTES = 1 << 20
LOADER = "usr/lib/systemd/boot/efi/systemd-bootx64.efi"
UNITS = "usr/lib/systemd/system"
# dracut's own module for it wants tpm2-tools; systemd's program loads these by their names.
PHASE_FILES = (f"{UNITS}/systemd-pcrphase-initrd.service", f"{UNITS}/initrd.target.wants/systemd-pcrphase-initrd.service",
               "usr/lib/systemd/systemd-pcrphase", "usr/lib/x86_64-linux-gnu/libtss2-esys.so.0",
               "usr/lib/x86_64-linux-gnu/libtss2-rc.so.0", "usr/lib/x86_64-linux-gnu/libtss2-mu.so.0",
               "usr/lib/x86_64-linux-gnu/libtss2-tcti-device.so.0")


class Plain:
    """`suite`: the Debian; `stub` and `kernel` of its UKIs; `options`, `esp_options`: of root and ESP in fstab."""
    suite, stub, kernel = "bookworm", "252", "6.1"
    options, esp_options = "errors=remount-ro", "umask=077,nofail,x-systemd.device-timeout=600"
    variant = "initramfs-tools"
    device = "LABEL=root"
    words = f"root={device}"
    answers = ()
    encrypted = False
    pcr_key = b""  # the UKI's .pcrpkey
    modules = rootfs.MODULES
    # What systemd 252 measures into PCR 11 in a boot by firmware; and of the units whose names say that they measure, or have to do with
    # boot loaders, those that run in it. After a hop both should be none.
    phases = ("sysinit", "ready", "shutdown", "final")
    measuring = ("systemd-pcrphase-sysinit.service", "systemd-pcrphase.service")

    def __init__(self):
        self.key = os.urandom(32)

    def prepare(self, tree):
        pass

    def initrd(self, tree, kernel):
        return tree.initrd(kernel)

    def sign(self, tree, image):
        """A UKI with signatures of what its PCR 11 will be, for those who have them."""
        return image

    def disk(self, tree, folder):
        return tree.image(folder / "root.img")

    def first(self, tree, uki_a):
        """What of the ESP firmware starts A by."""
        return {scene.PATH_A: uki_a}


class Encrypted(Plain):
    """`answers`: one passphrase more than should be asked for, so that a machine which asks too often comes to its end."""
    variant = "dracut"
    device = "/dev/mapper/root"
    words = f"root={device} rd.systemd.show_status=no"
    answers = ((QUESTION, PASSPHRASE),) * 4
    encrypted = True
    crypttab = "luks,x-initrd.attach,x-systemd.device-timeout=600"
    phase_files = PHASE_FILES
    phases = ("enter-initrd", "leave-initrd", *Plain.phases)
    measuring = ("systemd-bless-boot.service", "systemd-pcrphase-initrd.service", *Plain.measuring)

    def __init__(self):
        super().__init__()
        self.data = os.urandom(DATA_BYTES)

    @property
    def sha256(self):
        return hashlib.sha256(self.data).hexdigest()

    def prepare(self, tree):
        for source in tree.path(f"{SHARE}/dracut/90mkexec").iterdir():
            tree.copy(source, f"{DRACUT_MODULE}/{source.name}")
        tree.write("etc/crypttab", f"root /dev/disk/by-id/virtio-root none {self.crypttab}\n")
        tree.write("etc/dracut.conf.d/test.conf", 'add_dracutmodules+=" crypt mkexec "\nforce_drivers+=" efivarfs "\n'
                   f'install_items+=" /etc/crypttab {" ".join("/" + name for name in self.phase_files)} "\n')
        # Without a mounted ESP it can't rename the entry, and says so.
        tree.write("etc/systemd/system/systemd-bless-boot.service.d/test.conf", "[Unit]\nWants=efi.mount\nAfter=efi.mount\n")
        tree.write("srv/data", self.data)

    def disk(self, tree, folder):
        plain = super().disk(tree, folder)
        path = rootfs.encrypt(plain, folder / "root.luks", PASSPHRASE.encode(), (self.key,))
        plain.unlink()
        return path

    def first(self, tree, uki_a):
        """systemd-boot, and an entry that has three boots to become good."""
        return {scene.PATH_A: tree.path(LOADER).read_bytes(), "loader/loader.conf": b"timeout 0\ndefault a*\n",
                "EFI/Linux/a+3.efi": uki_a}

# SPDX-License-Identifier: LGPL-2.1-or-later
"""Debian sid with systemd 262 in test_systemd_os.py's machine: what it has beyond Debian 13's 257 (systemd_257.py).

That is a separator in the firmware's PCRs, and NvPCRs: NV indexes of the TPM that are extended. The first value is written to them by
an initrd whose PCR 11 the UKI brings a signature for, so these UKIs bring one, as ukify's --sign-initrd-pcrs makes it.
"""

import hashlib
import re

import payloads
import rootfs
import systemd_257
import systemd_logs
import uki
from systemd_257 import named
from tally import expect, expect_equal

# In the initrd systemd-cryptsetup 262 measures by this socket. dracut 112 doesn't take it along.
SOCKET = ("systemd-pcrextend.socket", "systemd-pcrextend@.service", "sockets.target.wants/systemd-pcrextend.socket")
NOTIFY = "systemd-sysupdate-notify-pcrlock.socket"
LOGIN = "systemd-pcrlogin@0.service"
IN_INITRD = ("systemd-pcrosseparator.service", "systemd-tpm2-setup-early.service", "systemd-pcrnvdone.service",
             "systemd-pcrphase-initrd.service")
# For a factory reset, and for a machine that is a disk to another.
NOT_WANTED = ("systemd-pcrphase-factory-reset.service", "systemd-pcrphase-storage-target-mode.service", "systemd-tpm2-clear.service")
# In the order of their priorities; and what is measured into each, here.
NVPCRS = {"verity": (0x1d10202, ()), "hardware": (0x1d10200, (r"product-id:\S+",)),
          "cryptsetup": (0x1d10201, (r"cryptsetup-keyslot:root:[0-9a-f-]+::0",)), "login": (0x1d10203, (r"login:root:\{.*\}",))}
# An index that was extended by as many zeros as its digest has bytes
ANCHORED = hashlib.sha256(bytes(64)).hexdigest()
SEPARATED = (*range(8), 12, 13, 14)
MEASURED_SECTIONS = (".linux", ".osrel", ".cmdline", ".initrd", ".uname", ".sbat", ".pcrpkey")


class Sid(systemd_257.Trixie):
    suite, stub, kernel = "sid", "262", "7.2"
    modules = (*rootfs.MODULES, "loop")
    crypttab = f"{systemd_257.Trixie.crypttab},tpm2-measure-keyslot-nvpcr=yes"
    phase_files = tuple(f"{systemd_257.UNITS}/{name}" for name in SOCKET)
    # Those that run in the initrd are told by the journal: outside their conditions don't hold.
    measuring = (*(unit for unit in systemd_257.MEASURING if unit not in IN_INITRD), NOTIFY, "systemd-pcrproduct.service")
    not_held_back = ("systemd-tpm2-clear.service",)
    also_measured = {
        **{pcr: ("os-separator",) for pcr in SEPARATED},
        9: ("os-separator", *(f"nvpcr-init:{name}:{index:#x}:000b[0-9a-f]{{64}}" for name, (index, _) in NVPCRS.items()),
            "nvpcr-separator"),
        **{index: strings for index, strings in NVPCRS.values() if strings}}

    def __init__(self):
        super().__init__()
        self.private_key = rootfs.call(["openssl", "genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])
        self.pcr_key = rootfs.call(["openssl", "pkey", "-pubout"], input=self.private_key)

    def prepare(self, tree):
        version = tree.run("dpkg-query", "--show", "--showformat=${Version}", "systemd").decode()
        if not payloads.matches(version, self.stub):
            raise payloads.Unavailable(f"sid has systemd {version} by now, and what is asserted here is {self.stub}'s")
        super().prepare(tree)
        tree.link(f"etc/systemd/system/sockets.target.wants/{NOTIFY}", f"/{systemd_257.UNITS}/{NOTIFY}")

    def sign(self, tree, image):
        words = []
        for name in MEASURED_SECTIONS:
            at, size = uki.place(image, name)
            tree.write(f"var/sections/{name}", image[at:at + size])
            words.append(f"--{name[1:]}=/var/sections/{name}")
        tree.write("var/sections/key", self.private_key, 0o600)
        signature = tree.run("/usr/lib/systemd/systemd-measure", "sign", *words, "--bank=sha256", "--private-key=/var/sections/key",
                             "--public-key=/var/sections/.pcrpkey", "--phase=enter-initrd", "--policyref=initrd")
        rootfs.call(["rm", "-r", tree.path("var/sections")])
        return uki.append(image, [(".pcrsig", signature)])


def finished(boot):
    return re.findall(r"Finished (systemd-\S+?\.service)", boot.text("journal"))


def nvpcrs(boot, when="nvpcrs"):
    """{name: value} as the TPM has them; "" is what can't be read"""
    return {name: "".join(value) for name, _, *value in map(str.split, boot.text(when).splitlines())}


def indexes(boot):
    """{NvPCR: (Name, attributes)} of its index; the Name depends on attributes and policy."""
    found = {int(index, 16): rest for index, *rest in re.findall(
        r"(0x[0-9a-f]+):\n +name: ([0-9a-f]+)\n(?:.*\n){3} +attributes:\n +friendly: (\S+)", boot.text("nvpcrs-public"))}
    return {name: (found[index][0], {*found[index][1].split("|")}) for name, (index, _) in NVPCRS.items()}


def initrds_measure_in_a_only(story):
    for name in "ABC":
        boot = named(story, name)
        expect_equal(f"the initrd's units that ran in {name}", [unit for unit in IN_INITRD if unit in finished(boot)],
                     [*IN_INITRD] if name == "A" else [])
        units = systemd_logs.measuring_units(boot)
        expect_equal(f"units that nobody wants in {name}", [units[unit] for unit in NOT_WANTED], [(False, "inactive")] * len(NOT_WANTED))
        expect_equal(f"systemd-pcrlogin@0 in {name}", boot.text("login").split(), [
            f"Id={LOGIN}", *(["ActiveState=active", "ConditionResult=yes"] if name == "A" else
                             ["ActiveState=inactive", "ConditionResult=no"])])


def measured_os(story):
    expect_equal("ConditionSecurity=measured-os", [named(story, name).text("measured-os.status") for name in "ABC"], ["0", "1", "0"])
    b = named(story, "B")
    expect_equal("with systemd.tpm2_measured_os=yes in B: measured-os, measured-uki",
                 [b.text(f"asked-{what}.status") for what in ("os", "uki")], ["0", "1"])


def nvpcrs_replay(story):
    """A's log gives what each of them reads; and their Names are those in PCR 9."""
    a, log = named(story, "A"), systemd_257.own_log(named(story, "A"))
    values, records = dict.fromkeys(NVPCRS, ANCHORED), systemd_logs.records(log)
    for name, (index, _) in NVPCRS.items():
        for digests in (digests for place, digests, _ in records if place == index):
            values[name] = hashlib.sha256(bytes.fromhex(values[name] + digests["sha256"])).hexdigest()
    expect_equal("NvPCRs in A", nvpcrs(a), values)
    shown = dict(re.findall(r"^(\w+) .* ([0-9a-f]{64})$", a.text("nvpcrs-systemd"), re.MULTILINE))
    expect_equal("... as systemd-analyze has them", shown, values)
    init = dict(re.findall(r"nvpcr-init:(\w+):0x[0-9a-f]+:([0-9a-f]+)", "\n".join(string for _, _, string in records)))
    expect_equal("Names in PCR 9's records", init, {name: index[0] for name, index in indexes(a).items()})
    for name, (_, attributes) in indexes(a).items():
        expect({"nt=0x1", "clear_stclear", "written"} <= attributes, f"{name}: {attributes}")
        expect_equal(f"whether {name} is orderly", "orderly" in attributes, name != "hardware")
    return a.text("nvpcrs-systemd")


def nvpcrs_stay(story):
    a = named(story, "A")
    for boot in (named(story, "C"), named(story, "B")):
        expect_equal("NvPCRs after a hop", nvpcrs(boot), nvpcrs(a))
        expect_equal("their Names and attributes", indexes(boot), indexes(a))


def nvpcrs_are_not_made_anew(story):
    """Also where B's command line asks for measurements. The twin: without its drop-in systemd-tpm2-setup-early takes them away, and can't
    write a first value to the new ones, though B's UKI brings a signature, too."""
    b = named(story, "B")
    expect_equal("systemd-tpm2-setup-early", b.text("asked").split(), ["ActiveState=inactive", "ConditionResult=no"])
    expect_equal("NvPCRs", nvpcrs(b, "asked-nvpcrs"), nvpcrs(b))
    expect_equal("exit code of systemd-pcrextend --nvpcr", b.text("extend.status"), "1")
    expect("only available in the initrd, refusing" in b.text("extend.err"), b.text("extend.err"))
    expect_equal("signatures in B", b.text("signature").split(),
                 ["/run/systemd/tpm2-pcr-public-key.pem", "/run/systemd/tpm2-pcr-signature.json"])
    expect_equal("systemd-tpm2-setup-early without its drop-in", b.text("asked-not-held-back").split(),
                 ["ActiveState=failed", "ConditionResult=yes"])
    expect_equal("NvPCRs then", nvpcrs(b, "asked-not-held-back-nvpcrs"), dict.fromkeys(sorted(NVPCRS), ""))
    return b.text("extend.err").splitlines()[-1]


def passphrases_open_unmeasured(story):
    """systemd-cryptsetup asks the socket that is held back, and goes on without an answer."""
    c = named(story, "C")
    expect_equal(f"exit code of systemd-cryptsetup attach ({c.text('volume.err')})", c.text("volume.status"), "0")
    expect("volume" in c.text("volume-mapped").split(), c.text("volume-mapped"))
    for what in ("PCR", "NvPCR"):
        expect(f"Could not extend {what}: No such file or directory" in c.text("volume.err"), c.text("volume.err"))
    expect_equal("PCRs", c.text("volume-after"), c.text("volume-before"))


CHECKS = {
    **systemd_257.CHECKS,
    "units of the initrd, and a login, measure in A only": initrds_measure_in_a_only,
    "measured-os is what measured-uki is, but where the command line says so": measured_os,
    "what NvPCRs read is what A's log gives": nvpcrs_replay,
    "a hop leaves NvPCRs as they are": nvpcrs_stay,
    "in file mode a passphrase opens a volume, and nothing is extended": passphrases_open_unmeasured,
    "nothing makes them anew after a hop, and without a drop-in it would": nvpcrs_are_not_made_anew,
}

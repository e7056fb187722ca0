#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""`mkexec predict` on what people run: stubs and kernels of several years, with all that lies beside a UKI.

Each case runs one payload to the hand-over and compares every event of its PCR 4, 9, 11, 12 and 13 (order, type,
digests of four banks, data) and the PCRs it would see with expected.py, which computes them from the parts; PCR 11
also with systemd-measure where that knows the stub's sections. Prints TAP. Usage: test_matrix.py MKEXEC
"""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "system"))
import expected  # noqa: E402
import extras  # noqa: E402
import payloads  # noqa: E402
import signing  # noqa: E402
import tap  # noqa: E402
import uki  # noqa: E402

MEASURE = pathlib.Path("/usr/lib/systemd/systemd-measure")
STUBS = (252, 254, 257, 262)
KERNELS = ("5.10", "6.1", "6.12", "7.2")
XZ = "6.1 xz"
COMPRESSED = {b"\x02\x21\x4c\x18": "lz4", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zX": "xz"}
COMPARED = (12, 13, 11, 4, 9, 7)
SMBIOS_AT = 0xf0000
# What makes the parts of this run unlike those of every other.
RANDOM = os.urandom(16)


@functools.cache
def fetched(get, *arguments, **options):
    """What a function of payloads gives, or None, and the reason. Asked once: a mirror that is gone is slow to tell."""
    try:
        return get(*arguments, **options), ""
    except payloads.Unavailable as reason:
        return None, str(reason)


def needed(found, reason):
    if found is None:
        raise tap.Skip(reason)
    return found


@functools.cache
def stub(version):
    return needed(*fetched(payloads.stub, str(version), exact=True)).path.read_bytes()


@functools.cache
def kernel(series):
    """The image, its version as numbers, and how it is compressed (boot protocol, payload_offset)."""
    if series == XZ:
        path, version = needed(*fetched(payloads.installer_kernel, series.split()[0]))
    else:
        found = needed(*fetched(payloads.kernel, series, exact=True))
        path, version = found.image, found.version
    data = path.read_bytes()
    start = (data[0x1f1] + 1) * 512 + struct.unpack_from("<I", data, 0x248)[0]
    return data, tuple(map(int, re.findall(r"\d+", version)[:2])), COMPRESSED.get(data[start:start + 4], "?")


# ---- parts ----

def initrd(size):
    """Something that the stub takes for an initrd, the same in one run and another in the next."""
    return b"\x1f\x8b" + (RANDOM * (size // 16 + 1))[:size - 2]


def base_sections(series, **changes):
    sections = {".osrel": uki.os_release("matrix", RANDOM), ".cmdline": b"quiet stage=2", ".uname": b"6.1.0-matrix",
                ".pcrpkey": b"-----BEGIN PUBLIC KEY-----\n" + RANDOM.hex().encode(),
                ".initrd": initrd(200_001), ".linux": kernel(series)[0]}
    return {name: data for name, data in {**sections, **changes}.items() if data}


def addon(**sections):
    return extras.addon(stub(252), **sections)


def smbios_type(number, fixed, *strings):
    return bytes([number, 4 + len(fixed), number, 0]) + fixed + b"".join(s + b"\0" for s in strings) + b"\0"


# ---- one run ----

@dataclasses.dataclass
class Run:
    mkexec: str
    folder: pathlib.Path
    seconds: float = 0

    def write(self, path, data):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def predict(self, path, *options):
        before = time.monotonic()
        done = subprocess.run([self.mkexec, "predict", "--json", "--esp", self.folder, *options, path],
                              capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
        self.seconds = time.monotonic() - before
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def machine(self, **changes):
        """A file of `status --machine`: one that has never been kexec'd."""
        zero = {bank: "0" * 2 * hashlib.new(bank).digest_size for bank in expected.BANKS}
        facts = {"version": 1, "banks": list(expected.BANKS), "registers": {str(pcr): zero for pcr in range(16)},
                 "hop": 1, "esp_device_path": "7fff0400", "smbios_address": 0, "smbios_entry": "", "smbios_tables": "",
                 "variables": [], **changes}
        return self.write("machine.json", json.dumps(facts).encode())

    def boot(self, boot, *options):
        """Lays out what the boot has, runs it, and gives the prediction."""
        for path, data in boot.files().items():
            self.write(path, data)
        cmdline = ["--cmdline", boot.load_options] if boot.load_options is not None else []
        return self.predict(self.folder / "EFI/Linux" / boot.name, *cmdline, *options)


def wrong(prediction, wanted):
    """The first difference between what was recorded and what had to be, or None."""
    for pcr in COMPARED:
        got = [event for event in prediction["events"] if event["kind"] == "payload" and event["payload_pcr"] == pcr]
        want = wanted.get(pcr, [])
        for number, (event, due) in enumerate(zip(got, want)):
            where = f"PCR {pcr}, event {number} ({event['text'][:60]!r})"
            if event["type"] != due.type:
                return f"{where}: type {event['type']}, not {due.type}"
            if due.data is not None and event["data"] != due.data.hex():
                return f"{where}: data {event['data'][:160]}, not {due.data.hex()[:160]}"
            if event["digests"] != due.digests():
                return f"{where}: digests aren't those of {due.hashed[:120]!r} ({len(due.hashed)} bytes)"
        if len(got) != len(want):
            rest = [event["text"][:40] for event in got[len(want):]] or [str(due) for due in want[len(got):]]
            return f"PCR {pcr}: {len(got)} events, not {len(want)}: {rest}"
        for bank in expected.BANKS if want else ():
            value = bytes(hashlib.new(bank).digest_size)
            for due in want:
                value = hashlib.new(bank, value + bytes.fromhex(due.digests()[bank])).digest()
            if prediction["payload_view"][str(pcr)][bank] != value.hex():
                return f"PCR {pcr}, {bank}: the payload's view isn't the replay"
    return None


def judge(prediction, wanted):
    difference = wrong(prediction, wanted)
    assert difference is None, difference


def judge_files(prediction, series, wanted):
    """What kexec_file_load would get: the package's kernel byte for byte, and what the kernel's stub has to measure."""
    files = prediction["files"]
    data, version, _ = kernel(series)
    assert files["kernel"] == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}, "another kernel"
    for due in wanted.get(9, []):
        tag = struct.unpack_from("<I", due.data)[0] if due.data else 0
        if tag == expected.TAG_LINUX_INITRD:
            found, due = files["initrd"], {"bytes": len(due.hashed), "sha256": hashlib.sha256(due.hashed).hexdigest()}
            assert found == due, f"initrd: {found}, not {due}"
        if tag == expected.TAG_LOAD_OPTIONS:
            found, due = bytes.fromhex(files["command_line"]).decode(), due.hashed.decode("utf-16-le").rstrip("\0")
            assert found == due, f"command line: {found!r}, not {due!r}"


def make_boot(version, series, sections=None, rows=None, **more):
    """A UKI of these sections, and what is known of it. `rows`: the true layout if it has profiles."""
    sections = base_sections(series) if sections is None else sections
    image = uki.append(stub(version), sections.items() if rows is None else rows)
    sbat = expected.section_of(stub(version), ".sbat")
    return expected.Boot(version, kernel(series)[1], image, {**sections, ".sbat": sbat}, **more)


# ---- cases ----

@functools.cache
def measure_help():
    return subprocess.run([MEASURE, "--help"], capture_output=True, text=True).stdout if MEASURE.exists() else ""


def pcr11_by_systemd(run, boot):
    """PCR 11 in the words of systemd-measure, or nothing if it doesn't know a section that this stub measures."""
    names = [name for name, since in expected.SECTIONS if boot.stub >= since and name in boot.sections]
    if any(f"--{name[1:]}=" not in measure_help() for name in names):
        return {}
    files = [f"--{name[1:]}={run.write('measure' + name, boot.sections[name])}" for name in names]
    text = subprocess.run([MEASURE, "calculate", "--phase=:", *(f"--bank={bank}" for bank in expected.BANKS), *files],
                          capture_output=True, text=True, check=True).stdout
    return dict(line.removeprefix("11:").split("=") for line in text.split() if line.startswith("11:"))


def whole_uki(run, version, series):
    boot = make_boot(version, series)
    prediction = run.boot(boot, "--handover=file")
    judge(prediction, boot.events())
    judge_files(prediction, series, boot.events())
    theirs = pcr11_by_systemd(run, boot)
    for bank, value in theirs.items():
        assert prediction["payload_view"]["11"][bank] == value, f"{bank}: systemd-measure says {value}"
    assert theirs or version != 252 or not measure_help(), "systemd-measure wasn't asked"
    return f"{kernel(series)[2]}{', systemd-measure agrees' if theirs else ''}"


def bare_kernel(run, series):
    data, version, how = kernel(series)
    image = run.write("EFI/Linux/vmlinuz.efi", data)
    first, second = initrd(5001), initrd(4097)
    files = [run.write("first", first), run.write("second", second)]
    padded = first + bytes(-len(first) % 4) + second + bytes(-len(second) % 4)
    wanted = expected.by_pcr([expected.image(data), *expected.linux_events(version, "quiet a=\u00e4", padded)])
    prediction = run.predict(image, "--cmdline", "quiet a=\u00e4", "--handover=file", *(f"--initrd={path}" for path in files))
    judge(prediction, wanted)
    judge_files(prediction, series, wanted)
    seconds = run.seconds
    judge(run.predict(image), expected.by_pcr([expected.image(data)]))
    run.seconds = max(seconds, run.seconds)
    return how


def initrd_by_name(run, series):
    """initrd= on the command line: the kernel's stub reads it from the volume; 6.12 doesn't measure it, 7.2 does."""
    data, version, _ = kernel(series)
    image, content = run.write("EFI/Linux/vmlinuz.efi", data), initrd(1_500_001)
    run.write("boot/initrd.img", content)
    options = "quiet initrd=\\boot\\initrd.img"
    events = list(expected.linux_events(version, options, content if version >= (7, 0) else b""))
    judge(run.predict(image, "--cmdline", options), expected.by_pcr([expected.image(data), *events]))


def all_sidecars(version, series, **more):
    return make_boot(
        version, series, **more,
        extra={"b.cred": b"B" * 5, "a.cred": RANDOM, ".hidden.cred": b"no", "sys.raw": initrd(1_300_003),
               "one.confext.raw": initrd(4096), "z.addon.efi": addon(cmdline=b"local=1", uname=b"6.1.0-matrix"),
               "other.addon.efi": addon(cmdline=b"other-kernel", uname=b"5.0.0-other"),
               "boot.addon.efi": addon(initrd=initrd(333), ucode=b"U" * 77, dtb=extras.device_tree())},
        addons={"all.addon.efi": addon(cmdline=b"global=1"), "more.addon.efi": addon(cmdline=b"global=2")},
        credentials={"g.cred": b"global" + RANDOM, "README": b"not one"},
        extensions={"g.raw": initrd(70_001), "g.confext.raw": initrd(513)})


def sidecars(run, version, series):
    boot = all_sidecars(version, series, load_options="own options")
    prediction = run.boot(boot, "--handover=file")
    judge(prediction, boot.events())
    judge_files(prediction, series, boot.events())
    # Twins: the same comparison must see one changed byte in each sidecar that this stub reads.
    changed = 0
    for folder in ("extra", "addons", "credentials", "extensions"):
        for name, data in getattr(boot, folder).items():
            twin = {**getattr(boot, folder), name: data[:-1] + bytes([data[-1] ^ 1])}
            forged = dataclasses.replace(boot, **{folder: twin})
            if forged.events() != boot.events():
                changed += 1
                assert wrong(prediction, forged.events()), f"a changed {name} isn't seen"
    assert changed == {252: 5, 254: 10, 257: 10, 262: 12}[version], f"{changed} sidecars matter"
    return f"{changed} twins refused"


def more_sections(run, version, series):
    """Sections that do something else than being measured; .pcrsig must not be."""
    changes = {".pcrpkey": b"", ".osrel": b"", ".ucode": b"\x70" * 333, ".dtb": extras.device_tree(), ".pcrsig": b'{"sha256":[]}'}
    boot = make_boot(version, series, base_sections(series, **changes))
    judge(run.boot(boot), boot.events())


def splash(run, version, series):
    boot = make_boot(version, series, base_sections(series, **{".splash": extras.BMP, ".pcrpkey": b""}))
    judge(run.boot(boot), boot.events())


def options(run, version, series):
    """LoadOptions as the stub takes them: instead of .cmdline, unless empty. Profiles are known since 257."""
    for text in ("own options", "x", "", *(("@1 is plain text",) if version < 257 else ())):
        boot = make_boot(version, series, load_options=text)
        judge(run.boot(boot), boot.events())


def boot_counters(run, version, series):
    """The counters of boot attempts in a UKI's name don't belong to its folder's name, since 254."""
    cut = {"b+3.efi": "b.efi", "b+03-1.efi": "b.efi", "b+0-3": "b", "b+3.more.efi": "b.more.efi", "b+x.efi": "b+x.efi",
           "b+1-.efi": "b+1-.efi", "b++1.efi": "b++1.efi", "b+a+1.efi": "b+a+1.efi", "b+1x.efi": "b+1x.efi"}
    credentials = {"g.cred": b"global" + RANDOM}
    for name, without in cut.items():
        boot = make_boot(version, series, name=name, extra={"own.cred": name.encode()}, credentials=credentials)
        own = f"EFI/Linux/{name if version < 254 else without}.extra.d/own.cred"
        assert boot.files()[own] == name.encode(), f"{name} would be looked for in {sorted(boot.files())}"
        decoys = {f"EFI/Linux/{other}.extra.d/own.cred" for other in (name, without)} - {own}
        for path in decoys:
            run.write(path, b"not this one")
        judge(run.boot(boot), boot.events())
        for path in (own, *decoys):
            (run.folder / path).unlink()


def profiles(run, version, series):
    base = base_sections(series, **{".pcrpkey": b""})
    # what follows a .profile belongs to it
    rows = [(".profile", b"ID=main\nTITLE=Main\n"),
            (".profile", b"ID=rescue\nTITLE=Rescue\n"), (".cmdline", b"rescue mode=1"),
            (".profile", b"ID=other\n"), (".initrd", initrd(5555)), (".osrel", b"ID=other\n")]
    profile = [{".profile": rows[0][1]}, dict(rows[1:3]), dict(rows[3:])]
    for number, text in ((0, None), (0, "@0"), (1, "@1"), (1, "@1 own options"), (2, "@2")):
        boot = make_boot(version, series, {**base, **profile[number]}, [*base.items(), *rows], load_options=text,
                         profile=number)
        try:
            judge(run.boot(boot), boot.events())
        except AssertionError as difference:
            raise AssertionError(f"{text}: {difference}") from None
    own = ["--cmdline", "own options"]
    plain = dataclasses.replace(boot, load_options=None)
    for wanted, options in ((("0", "main"), "@0"), (("1", "rescue"), "@1"), (("2", "other"), "@2")):
        for more, text in (([], options), (own, f"{options} own options")):
            due = run.boot(plain, "--cmdline", text)
            for name in wanted:
                assert run.boot(plain, "--profile", name, *more) == due, f"--profile {name} {more} isn't --cmdline '{text}'"
    for name in ("3", "res", ""):
        said = refused(run, plain, "--profile", name)
        assert not name or said.endswith(f"there is no profile {name}; it has: 0 (main), 1 (rescue), 2 (other)"), said


def profile_of_others(run, version, series):
    """Stubs before 257 know no profiles; what isn't a UKI has none."""
    said = refused(run, make_boot(version, series), "--profile", "0", code=1)
    assert said.endswith(f"its stub is of systemd {version}; profiles are known since 257"), said


def profile_of_a_kernel(run, series):
    image = run.write("EFI/Linux/vmlinuz.efi", kernel(series)[0])
    said = refused(run, None, "--profile", "0", code=1, path=image)
    assert said.endswith("--profile is for UKIs with systemd's stub, which this isn't"), said


def refused(run, boot, *options, code=2, path=None):
    """The one line that predict says."""
    path = path or run.folder / "EFI/Linux" / boot.name
    for name, data in boot.files().items() if boot else ():
        run.write(name, data)
    done = subprocess.run([run.mkexec, "predict", "--esp", run.folder, *options, path], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, timeout=120)
    assert (done.returncode, done.stdout) == (code, ""), f"{options}: {done.returncode}: {done.stdout}{done.stderr}"
    assert done.stderr.startswith("mkexec: ") and done.stderr.count("\n") == 1, done.stderr
    return done.stderr.strip()


def hardware_ids(run, version, series):
    """Sections of which the stub takes the one whose hardware id in .hwids is the machine's."""
    tree, firmware = extras.device_tree(b"tests,board"), extras.firmware(b"own firmware", b"code")
    choice = [(".dtbauto", extras.device_tree(b"other,board")), (".dtbauto", tree), (".dtbauto", extras.device_tree(b"z")),
              (".efifw", extras.firmware(b"other firmware", b"code")), (".efifw", firmware)]
    by_tree = (extras.DEVICE_TREE, extras.hardware_id(), b"name", b"tests,board")
    by_firmware = (extras.UEFI_FIRMWARE, extras.hardware_id(), b"name", b"own firmware")
    by_maker = (extras.DEVICE_TREE, extras.hardware_id(extras.BOARD["1.manufacturer"], extras.BOARD["1.family"]), b"name", b"z")
    nobody = (extras.DEVICE_TREE, extras.hardware_id("nobody"), b"name", b"other,board")
    # 257 takes no table with a kind that it doesn't know
    rows = (((nobody, by_tree), {".dtbauto": tree}), ((by_maker, by_tree), {".dtbauto": tree}), ((nobody,), {}), ((), {}),
            ((by_maker, nobody), {".dtbauto": choice[2][1]}),
            ((by_firmware, by_tree), {".dtbauto": tree, ".efifw": firmware} if version >= 258 else {}))
    maker, family, product, sku, board_maker, board = (text.encode() for text in extras.BOARD.values())
    machine = run.machine(**smbios_facts(
        smbios_type(1, bytes([1, 2, 0, 0]) + bytes(16) + bytes([6, 3, 4]), maker, product, sku, family),
        smbios_type(2, bytes([1, 2, 0, 0, 0]), board_maker, board)))
    for devices, taken in rows:
        base = base_sections(series, **{".pcrpkey": b"", ".hwids": extras.hwids(*devices) if devices else b""})
        boot = make_boot(version, series, {**base, **taken}, [*base.items(), *choice])
        judge(run.boot(boot, "--machine", machine), boot.events())


def smbios_facts(*structures):
    tables = b"".join(structures) + smbios_type(127, b"") + b"\0"
    entry = bytearray(struct.pack("<5sBBBBBBBIQ", b"_SM3_", 0, 24, 3, 0, 0, 1, 0, len(tables), SMBIOS_AT + 64))
    entry[5] = -sum(entry) & 0xff
    return {"smbios_address": SMBIOS_AT, "smbios_entry": entry.hex(), "smbios_tables": tables.hex()}


def smbios_and_secure_boot(run, version, series):
    """Facts of the machine that change what a stub measures, given by --machine."""
    strings = smbios_type(11, b"\x02", b"vendor words", expected.CMDLINE_EXTRA + b"from=smbios",
                          expected.CMDLINE_EXTRA + b"only the first counts")
    known = smbios_facts(smbios_type(1, bytes(23), b"maker"), strings)
    addons = {"all.addon.efi": addon(cmdline=b"global=1")}
    boot = make_boot(version, series, smbios=strings, addons=addons)
    judge(run.boot(boot, "--machine", run.machine(**known)), boot.events())
    judge(run.boot(boot, "--machine", run.machine(**{**known, "smbios_address": 0})), boot.events())
    boot = make_boot(version, series, load_options="own options", secure_boot=True, addons=addons)
    lists = [signing.signature_list(signing.SHA256, bytes.fromhex(expected.authenticode(data, "sha256")))
             for data in (boot.uki, *addons.values())]
    values = {"SecureBoot": b"\1", "PK": b"the platform's", "db": b"".join(lists)}
    variables = [{"name": name, "guid": str(expected.DATABASE if name == "db" else expected.GLOBAL), "attributes": 6,
                  "data": value.hex()} for name, value in values.items()]
    events = expected.secure_boot_events(values, [entry[28:] for entry in lists[:2 if version >= 254 else 1]])
    judge(run.boot(boot, "--machine", run.machine(variables=variables)), {**boot.events(), 7: list(events)})
    # A twin: one byte of the UKI's command line, and nobody vouches for it.
    forged = dataclasses.replace(boot, uki=boot.uki.replace(b"quiet stage=2", b"quiet stage=3"))
    try:
        run.boot(forged, "--machine", run.machine(variables=variables))
    except AssertionError as refusal:
        assert "refused: not signed" in str(refusal), refusal
    else:
        raise AssertionError("a changed UKI is started under Secure Boot")


def each_compression(run):
    """That a kernel of each kind was among these: a mirror with other kernels must not narrow the matrix in silence."""
    found = set()
    for series in (*KERNELS, XZ):
        try:
            found.add(kernel(series)[2])
        except tap.Skip:
            pass
    missing = set(COMPRESSED.values()) - found
    if missing:
        raise tap.Skip(f"no kernel compressed with {', '.join(sorted(missing))}")
    return ", ".join(sorted(found))


def cases():
    for version in STUBS:
        for series in (*KERNELS, XZ):
            if series != XZ or version in (252, 262):
                yield f"stub {version}, kernel {series}", whole_uki, (version, series)
    for series in (*KERNELS, XZ):
        yield f"bare kernel {series}", bare_kernel, (series,)
        yield f"bare kernel {series} with initrd=", initrd_by_name, (series,)
    for version in STUBS:
        for function in (sidecars, more_sections, splash, options, smbios_and_secure_boot, boot_counters,
                         *((profiles, hardware_ids) if version >= 257 else (profile_of_others,))):
            yield f"stub {version}, {function.__name__.replace('_', ' ')}", function, (version, "6.12")
    yield "bare kernel 6.12, profile", profile_of_a_kernel, ("6.12",)
    yield "xz, lz4 and zstd kernels", each_compression, ()


def timed(function, *arguments):
    with tempfile.TemporaryDirectory() as place:
        run = Run(sys.argv[1], pathlib.Path(place))
        note = function(run, *arguments)
        return f"{run.seconds:.2f} s{', ' + note if note else ''}"


def main():
    return tap.run((name, functools.partial(timed, function, *arguments)) for name, function, arguments in cases())


if __name__ == "__main__":
    sys.exit(main())

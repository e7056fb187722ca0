# SPDX-License-Identifier: LGPL-2.1-or-later
"""Secure Boot: OVMF and mkexec judge the same signed, unsigned, revoked and damaged images by the same keys.

Firmware starts a program of ours (tests/conformance/judge.c) that calls LoadImage on each file and prints the status and
the event log; mkexec runs the same program over the same files. What differs is a row of signed_images.py with its reason.
"""

import dataclasses
import shutil
import subprocess

import esp
import eventlog
import nvram
import scene
import signed_images
import signing
import vm
from tally import Wrong, expect, expect_equal

PROGRAM = "tests/conformance/judge.efi"
IMAGE = "tests/conformance/child.efi"
VARIABLE_EVENTS = {"0x80000001": "EV_EFI_VARIABLE_DRIVER_CONFIG", "0x800000e0": "EV_EFI_VARIABLE_AUTHORITY"}
# Firmware has more in PCR 7 than the keys: the separator. SecureBoot is a variable that --db can't give.
FIRMWARE_ONLY = ("0x4", "EV_SEPARATOR")


@dataclasses.dataclass(frozen=True)
class Configuration:
    name: str = "ovmf"

    def __str__(self):
        return self.name


CONFIGURATIONS = (Configuration(),)


def by_firmware(folder, images, judge):
    # In the order of names, in which mkexec lists a folder; FAT lists it as it was written.
    files = {f"images/{path.name}": path.read_bytes() for path in sorted(images.image_folder.iterdir())}
    disk = esp.build(folder / "esp", {"EFI/BOOT/BOOTX64.EFI": judge, **files})
    (folder / "nothing").write_bytes(bytes(1 << 20))
    owner = signing.trusted(images.keys["vendor"])
    variables = nvram.enrolled(vm.VARIABLES.read_bytes(), owner, owner, images.db, images.dbx)
    for number in (1, 2):
        setup = vm.Setup(disk, folder / "nothing", variables=variables, secure_boot=True)
        console = vm.run_once(folder / f"firmware{number}", setup).console
        if "JUDGED 0000000000000000" in console:
            return console
    raise vm.Died(f"firmware didn't judge the images; its console ends with: {vm.last_words(console)}")


def by_mkexec(folder, images, judge):
    place = folder / "mkexec"
    (place / "EFI/BOOT").mkdir(parents=True)
    (place / "EFI/BOOT/BOOTX64.EFI").write_bytes(judge)
    shutil.copytree(images.image_folder, place / "images")
    return run_mkexec(place, images, place / "EFI/BOOT/BOOTX64.EFI")


def run_mkexec(place, images, payload):
    db, dbx = images.write_lists()
    done = subprocess.run([scene.program(), "predict", "--esp", place, "--db", db, "--dbx", dbx, payload],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300)
    return "\n".join(line.removeprefix("payload: ") for line in done.stderr.splitlines())


def check_image(image, firmware, ours):
    found = {"firmware": firmware.get(image.name), "mkexec": ours.get(image.name)}
    accepted = image.accepted if image.edk2 is None else image.edk2
    expect(None not in found.values(), f"no verdict: {found}")
    expect_equal("firmware accepts it", found["firmware"] == 0, accepted)
    expect_equal("mkexec accepts it", found["mkexec"] == 0, image.accepted)
    if image.edk2 is not None:
        return f"differs: {image.why}"
    expect_equal("the statuses", f"{found['mkexec']:#x}", f"{found['firmware']:#x}")
    return None


def key_events(log):
    """(name, data) of the variables and authorities in PCR 7, in order."""
    return [(VARIABLE_EVENTS.get(event.type, event.type), event.data) for event in eventlog.parse(log)[1]
            if event.pcr == 7 and event.type not in FIRMWARE_ONLY]


def check_measured(images, firmware, ours):
    """PCR 7 byte for byte, but for SecureBoot, PK and KEK, which files can't give, and for authorities of images that only
    one of the two accepts."""
    theirs, mine = key_events(firmware), key_events(ours)
    expect_equal("types of the variables", [name for name, _ in mine[:5]], [name for name, _ in theirs[:5]])
    expect_equal("variable db", mine[3], theirs[3])
    expect_equal("variable dbx", mine[4], theirs[4])
    expect_equal("names of the others", [data[:16] + data[32:32 + 2 * data[16]] for _, data in mine[:3]],
                 [data[:16] + data[32:32 + 2 * data[16]] for _, data in theirs[:3]])
    both = [entry for entry in mine[5:] if entry in theirs[5:]]
    expect_equal("authorities", both, [entry for entry in theirs[5:] if entry in mine[5:]])
    more = {"firmware": len(theirs) - 5 - len(both), "mkexec": len(mine) - 5 - len(both)}
    expect(more["firmware"] <= sum(image.edk2 is True for image in images.images), f"authorities of firmware alone: {more}")
    expect(more["mkexec"] <= sum(image.edk2 is False for image in images.images), f"authorities of mkexec alone: {more}")
    expect(len(both) >= 8, "hardly an authority was measured")
    return f"{len(both)} authorities by both, alone: {more}"


def run(tally, folder, configuration):
    folder.mkdir(parents=True)
    program, image = (scene.program().parent / name for name in (PROGRAM, IMAGE))
    if not program.exists():
        tally.skip("images", f"{program} is not built")
        return
    images = signed_images.Images(folder / "made", image)
    judge = images.signed("judge", "vendor", path=program)
    theirs, ours = by_firmware(folder, images, judge), by_mkexec(folder, images, judge)
    firmware, mkexec = signed_images.verdicts(theirs), signed_images.verdicts(ours)
    tally.check("images: at least twenty were judged", expect, len(images.images) >= 20 and len(firmware) == len(images.images),
                f"{len(firmware)} of {len(images.images)}")
    for one in images.images:
        tally.check(f"images: {one.name}", check_image, one, firmware, mkexec)
    tally.check("images: what PCR 7 is told", check_measured, images, signed_images.event_log(theirs),
                signed_images.event_log(ours))
    tally.check("images: a twin, the verdicts of two images exchanged", refused, images, firmware, mkexec)


def refused(images, firmware, mkexec):
    good, bad = (next(one for one in images.images if one.accepted is wanted and one.edk2 is None) for wanted in (True, False))
    for side in (firmware, mkexec):
        twin = {**side, good.name: side[bad.name], bad.name: side[good.name]}
        for one in (good, bad):
            try:
                check_image(one, *((twin, mkexec) if side is firmware else (firmware, twin)))
            except Wrong:
                continue
            raise Wrong(f"{one.name}: the other's verdict is taken")

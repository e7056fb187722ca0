# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian package: looked at by lintian, installed into a Debian root tree and purged from it.

No machine is started: systemd_os-hop installs and purges the same package in one. Run by --full.
"""

import pathlib
import shutil
import subprocess
from dataclasses import dataclass

import debian_package
import payloads
import rootfs
from tally import expect, expect_equal

INSTALLED = {
    "usr/sbin/mkexec": True, "usr/sbin/mkexec-ticket": True, "usr/lib/systemd/system-shutdown/mkexec": True,
    "usr/share/man/man8/mkexec.8.gz": False, "usr/share/bash-completion/completions/mkexec": False,
    "usr/share/doc/mkexec/tickets.md.gz": False, "usr/lib/systemd/system/mkexec-last-exec.service": False,
    "usr/lib/systemd/system/systemd-pcrlock-.service.d/mkexec.conf": False,
    "usr/share/initramfs-tools/hooks/mkexec": True, "usr/lib/dracut/modules.d/90mkexec/module-setup.sh": True,
}
# What others made in the tree, and what dpkg itself keeps of a package that was purged: nothing.
IGNORED = ("/proc", "/sys", "/dev")


@dataclass(frozen=True)
class Configuration:
    name: str = "debian"


CONFIGURATIONS = (Configuration(),)


@dataclass
class Story:
    folder: pathlib.Path
    tree: object
    packages: object

    def named(self):
        """Paths in the tree with our name in them."""
        found = self.tree.run("find", "/", "-xdev", "-name", "*mkexec*").decode().split()
        return [path for path in found if not path.startswith(IGNORED)]


def lintian_is_content(story):
    done = subprocess.run(["lintian", "--fail-on", "error,warning", story.packages.changes], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    expect_equal(f"exit code ({done.stdout.strip()})", done.returncode, 0)


def lintian_would_say_so(story):
    """The twin: the same package with a file that no package may have."""
    place = story.folder / "twin"
    rootfs.call(["dpkg-deb", "-R", story.packages.program, place])
    (place / "usr/sbin/mkexec").chmod(0o4777)
    rootfs.call(["dpkg-deb", "-b", "--root-owner-group", place, story.folder / "twin.deb"])
    done = subprocess.run(["lintian", "--fail-on", "error,warning", story.folder / "twin.deb"], capture_output=True, text=True)
    (story.folder / "twin.deb").unlink()
    expect(done.returncode != 0, "lintian accepts a program that everybody may write")


def it_installs(story):
    story.tree.copy(story.packages.program, "root/mkexec.deb")
    story.tree.run("dpkg", "-i", "/root/mkexec.deb")
    for name, executable in INSTALLED.items():
        path = story.tree.path(name)
        expect(path.exists(), f"{name} isn't there")
        expect_equal(f"{name} is executable", bool(path.stat().st_mode & 0o111), executable)
    version = story.tree.run("mkexec", "--version").decode().split()[1]
    said = story.tree.run("dpkg-query", "-W", "-f${Version}", "mkexec").decode()
    expect_equal("version", version, said)
    hook = story.tree.path("usr/lib/systemd/system-shutdown/mkexec").read_text()
    expect("exec /usr/sbin/mkexec exec --at-shutdown" in hook, hook)
    return story.tree.run("sh", "-c", "systemctl --root=/ is-enabled mkexec-last-exec.service").decode()


def it_goes_without_a_trace(story):
    before = [path for path in story.named() if not path.startswith("/root/")]
    expect(len(before) > 20, f"only {before} were installed")
    story.tree.run("dpkg", "--purge", "mkexec")
    expect_equal("left", [path for path in story.named() if not path.startswith("/root/")], [])


CHECKS = {"lintian has nothing to say": lintian_is_content, "lintian refuses a package that is wrong": lintian_would_say_so,
          "it installs, and what it installs runs": it_installs, "it is purged without a trace": it_goes_without_a_trace}


def run(tally, folder, configuration):
    if not shutil.which("lintian"):
        raise payloads.Unavailable("lintian isn't installed")
    folder.mkdir(parents=True)
    tree = rootfs.Tree(folder / "root")
    tree.path(rootfs.DPKG_LEAVES_OUT).unlink()
    story = Story(folder, tree, debian_package.built())
    for check, function in CHECKS.items():
        tally.check(f"package: {check}", function, story)

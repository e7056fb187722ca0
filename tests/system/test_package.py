# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Debian package: built in a copy of the sources, looked at by lintian, installed into a Debian root tree and purged from it.

No machine is started; what the installed files do is for the other scenarios. Run by --full.
"""

import pathlib
import shutil
import subprocess
from dataclasses import dataclass

import payloads
import rootfs
import scene
from tally import expect, expect_equal

NEEDS = ("dpkg-buildpackage", "dh", "lintian")
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

    @property
    def packages(self):
        return sorted(path for path in self.folder.glob("*.deb") if "dbgsym" not in path.name)

    def named(self):
        """Paths in the tree with our name in them."""
        found = self.tree.run("find", "/", "-xdev", "-name", "*mkexec*").decode().split()
        return [path for path in found if not path.startswith(IGNORED)]


def build(folder):
    place = folder / "mkexec"
    names = subprocess.run(["git", "-C", scene.REPOSITORY, "ls-files", "-z"], capture_output=True, check=True).stdout
    for name in names.decode().split("\0"):
        if name and (scene.REPOSITORY / name).exists():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(scene.REPOSITORY / name, place / name)
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(folder),
                   "DEB_BUILD_OPTIONS": "nocheck parallel=2"}
    rootfs.call(["dpkg-buildpackage", "-us", "-uc", "-b"], cwd=place, env=environment)


def lintian_is_content(story):
    changes = next(story.folder.glob("*.changes"))
    done = subprocess.run(["lintian", "--fail-on", "error,warning", changes], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    expect_equal(f"exit code ({done.stdout.strip()})", done.returncode, 0)


def lintian_would_say_so(story):
    """The twin: the same package with a file that no package may have."""
    place = story.folder / "twin"
    program = next(path for path in story.packages if path.name.startswith("mkexec_"))
    rootfs.call(["dpkg-deb", "-R", program, place])
    (place / "usr/sbin/mkexec").chmod(0o4777)
    rootfs.call(["dpkg-deb", "-b", "--root-owner-group", place, story.folder / "twin.deb"])
    done = subprocess.run(["lintian", "--fail-on", "error,warning", story.folder / "twin.deb"], capture_output=True, text=True)
    (story.folder / "twin.deb").unlink()
    expect(done.returncode != 0, "lintian accepts a program that everybody may write")


def it_installs(story):
    for package in story.packages:
        story.tree.copy(package, f"root/{package.name}")
    story.tree.run("dpkg", "-i", *(f"/root/{package.name}" for package in story.packages if package.name.startswith("mkexec_")))
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
    missing = [program for program in NEEDS if not shutil.which(program)]
    if missing:
        raise payloads.Unavailable(f"{', '.join(missing)} isn't installed")
    folder.mkdir(parents=True)
    tree = rootfs.Tree(folder / "root")
    tree.path(rootfs.DPKG_LEAVES_OUT).unlink()
    build(folder)
    story = Story(folder, tree)
    for check, function in CHECKS.items():
        tally.check(f"package: {check}", function, story)

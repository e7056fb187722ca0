/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The words behind `mkexec log`: one file each, log-*-verb.c. argv[0] is the word; each parses its
 * own options and returns an exit code. */
#pragma once

int log_show(int argc, char **argv);
int log_replay(int argc, char **argv);
int log_check(int argc, char **argv);
int log_convert(int argc, char **argv);

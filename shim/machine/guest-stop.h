/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a stop of the guest process means: from signal and si_code to the vCPU's kinds of exit and a
 * line of text. Pure, so that every row can be tested. */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <sys/user.h>

#include "shim/machine/vcpu.h"

/* A stop that a signal caused. False: a signal from outside, see guest_stop_is_ignored(). */
bool guest_stop_from_signal(
                const siginfo_t *info, const struct user_regs_struct *regs, struct vcpu_exit *exit);
/* A stop at a system call's entry. */
void guest_stop_from_syscall(const struct user_regs_struct *regs, struct vcpu_exit *exit);
/* The end of the process, status as waitpid() gave it. */
void guest_stop_from_end(int status, struct vcpu_exit *exit);

/* Signals from outside that a process which isn't stopped by job control has no use for; any other
 * one ends the guest. */
bool guest_stop_is_ignored(int signal);

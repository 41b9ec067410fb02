#define _GNU_SOURCE

#include "p2p_cxi_signals.h"

#include <stdbool.h>
#include <string.h>

void p2p_cxi_signals_note(struct p2p_cxi_signals *signals)
{
    memset(signals, 0, sizeof(*signals));
    for (int signal = 1; signal < P2P_CXI_SIGNALS; signal++) {
        /* Cannot fail: these are numbers of signals. */
        (void)sigaction(signal, NULL, &signals->actions[signal]);
    }
}

static bool is_same(const struct sigaction *one, const struct sigaction *other)
{
    /* The handlers are a union: as long as the flags agree, one of them speaks for both. */
    return one->sa_flags == other->sa_flags && one->sa_sigaction == other->sa_sigaction;
}

void p2p_cxi_signals_give_back(const struct p2p_cxi_signals *signals)
{
    for (int signal = 1; signal < P2P_CXI_SIGNALS; signal++) {
        struct sigaction now;
        if (sigaction(signal, NULL, &now) == 0 && !is_same(&now, &signals->actions[signal])) {
            (void)sigaction(signal, &signals->actions[signal], NULL);
        }
    }
}

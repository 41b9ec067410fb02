/*
 * Keeps the process's signal handlers. Libraries that libfabric brings along take signals over when
 * they are loaded: libinfinipath, which Debian's libfabric 1.17 depends on, takes SIGSEGV and five
 * others, and ends the process where the JVM would have gone on.
 */
#ifndef P2P_CXI_SIGNALS_H
#define P2P_CXI_SIGNALS_H

#include <signal.h>

#define P2P_CXI_SIGNALS 32

struct p2p_cxi_signals {
    struct sigaction actions[P2P_CXI_SIGNALS];
};

/* Notes the handlers of all signals but the real-time ones. */
void p2p_cxi_signals_note(struct p2p_cxi_signals *signals);

/* Gives back those that were changed since. */
void p2p_cxi_signals_give_back(const struct p2p_cxi_signals *signals);

#endif

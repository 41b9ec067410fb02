/** The transport over RDMA verbs: InfiniBand and RoCE. */
@NullMarked
package io.uccl.p2p.transport.rdma;

import org.jspecify.annotations.NullMarked;

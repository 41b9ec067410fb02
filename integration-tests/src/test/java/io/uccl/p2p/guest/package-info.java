/** Tests on a real RDMA device, in small virtual machines that they start themselves. */
package io.uccl.p2p.guest;

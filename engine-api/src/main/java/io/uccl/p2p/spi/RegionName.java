package io.uccl.p2p.spi;

import io.uccl.p2p.RegionAccess;

/**
 * How peers name a region in descriptors, and what they may do with it.
 *
 * @param rid the region's id in its engine, not 0
 * @param idx life of the engine in the upper half, epoch of the region in the lower half
 * @param access what peers may do
 */
public record RegionName(int rid, long idx, RegionAccess access) {}

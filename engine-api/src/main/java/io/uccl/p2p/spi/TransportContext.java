package io.uccl.p2p.spi;

import java.net.InetAddress;
import java.util.Map;

/**
 * What a transport is opened with.
 *
 * @param environment the variables, already checked
 * @param bindAddress the address that the engine advertises; nothing may listen on another
 * @param maxInflightOperations the most operations that the engine hands to one channel before it
 *     has seen completions, 1 to 256
 * @param gpuIndex the GPU that the engine works for, from 0 on
 */
public record TransportContext(
    Map<String, String> environment,
    InetAddress bindAddress,
    int maxInflightOperations,
    int gpuIndex) {}

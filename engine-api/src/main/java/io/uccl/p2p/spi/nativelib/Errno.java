package io.uccl.p2p.spi.nativelib;

import java.util.Map;

/**
 * Names and texts of Linux's error numbers, as shims return them.
 *
 * <p>The numbers are those of x86-64 and aarch64, which are the same. Every method takes {@code
 * errno} as well as {@code -errno}. Numbers that a library adds, such as libfabric's from 256 on,
 * are not known here.
 */
public final class Errno {

  /** Operation not permitted. */
  public static final int EPERM = 1;

  /** No such file or directory. */
  public static final int ENOENT = 2;

  /** Interrupted system call. */
  public static final int EINTR = 4;

  /** Input/output error. */
  public static final int EIO = 5;

  /** Resource temporarily unavailable. */
  public static final int EAGAIN = 11;

  /** Cannot allocate memory. */
  public static final int ENOMEM = 12;

  /** Permission denied. */
  public static final int EACCES = 13;

  /** Bad address. */
  public static final int EFAULT = 14;

  /** Device or resource busy. */
  public static final int EBUSY = 16;

  /** No such device. */
  public static final int ENODEV = 19;

  /** Invalid argument. */
  public static final int EINVAL = 22;

  /** No space left on device. */
  public static final int ENOSPC = 28;

  /** Numerical result out of range. */
  public static final int ERANGE = 34;

  /** Function not implemented. */
  public static final int ENOSYS = 38;

  /** No data available. */
  public static final int ENODATA = 61;

  /** Protocol not supported. */
  public static final int EPROTONOSUPPORT = 93;

  /** Operation not supported. */
  public static final int EOPNOTSUPP = 95;

  /** Network is unreachable. */
  public static final int ENETUNREACH = 101;

  /** Software caused connection abort. */
  public static final int ECONNABORTED = 103;

  /** Connection reset by peer. */
  public static final int ECONNRESET = 104;

  /** Transport endpoint is not connected. */
  public static final int ENOTCONN = 107;

  /** Cannot send after transport endpoint shutdown. */
  public static final int ESHUTDOWN = 108;

  /** Connection timed out. */
  public static final int ETIMEDOUT = 110;

  /** Connection refused. */
  public static final int ECONNREFUSED = 111;

  /** Host is down. */
  public static final int EHOSTDOWN = 112;

  /** No route to host. */
  public static final int EHOSTUNREACH = 113;

  /** Operation now in progress. */
  public static final int EINPROGRESS = 115;

  /** Operation canceled. */
  public static final int ECANCELED = 125;

  /** Key was rejected by service. */
  public static final int EKEYREJECTED = 129;

  private record Entry(String name, String text) {}

  private static final Map<Integer, Entry> ENTRIES =
      Map.ofEntries(
          entry(1, "EPERM", "Operation not permitted"),
          entry(2, "ENOENT", "No such file or directory"),
          entry(4, "EINTR", "Interrupted system call"),
          entry(5, "EIO", "Input/output error"),
          entry(6, "ENXIO", "No such device or address"),
          entry(7, "E2BIG", "Argument list too long"),
          entry(9, "EBADF", "Bad file descriptor"),
          entry(10, "ECHILD", "No child processes"),
          entry(11, "EAGAIN", "Resource temporarily unavailable"),
          entry(12, "ENOMEM", "Cannot allocate memory"),
          entry(13, "EACCES", "Permission denied"),
          entry(14, "EFAULT", "Bad address"),
          entry(16, "EBUSY", "Device or resource busy"),
          entry(17, "EEXIST", "File exists"),
          entry(18, "EXDEV", "Invalid cross-device link"),
          entry(19, "ENODEV", "No such device"),
          entry(20, "ENOTDIR", "Not a directory"),
          entry(21, "EISDIR", "Is a directory"),
          entry(22, "EINVAL", "Invalid argument"),
          entry(23, "ENFILE", "Too many open files in system"),
          entry(24, "EMFILE", "Too many open files"),
          entry(25, "ENOTTY", "Inappropriate ioctl for device"),
          entry(27, "EFBIG", "File too large"),
          entry(28, "ENOSPC", "No space left on device"),
          entry(29, "ESPIPE", "Illegal seek"),
          entry(30, "EROFS", "Read-only file system"),
          entry(31, "EMLINK", "Too many links"),
          entry(32, "EPIPE", "Broken pipe"),
          entry(33, "EDOM", "Numerical argument out of domain"),
          entry(34, "ERANGE", "Numerical result out of range"),
          entry(35, "EDEADLK", "Resource deadlock avoided"),
          entry(36, "ENAMETOOLONG", "File name too long"),
          entry(38, "ENOSYS", "Function not implemented"),
          entry(39, "ENOTEMPTY", "Directory not empty"),
          entry(40, "ELOOP", "Too many levels of symbolic links"),
          entry(42, "ENOMSG", "No message of desired type"),
          entry(61, "ENODATA", "No data available"),
          entry(62, "ETIME", "Timer expired"),
          entry(70, "ECOMM", "Communication error on send"),
          entry(71, "EPROTO", "Protocol error"),
          entry(74, "EBADMSG", "Bad message"),
          entry(75, "EOVERFLOW", "Value too large for defined data type"),
          entry(84, "EILSEQ", "Invalid or incomplete multibyte or wide character"),
          entry(87, "EUSERS", "Too many users"),
          entry(88, "ENOTSOCK", "Socket operation on non-socket"),
          entry(89, "EDESTADDRREQ", "Destination address required"),
          entry(90, "EMSGSIZE", "Message too long"),
          entry(91, "EPROTOTYPE", "Protocol wrong type for socket"),
          entry(92, "ENOPROTOOPT", "Protocol not available"),
          entry(93, "EPROTONOSUPPORT", "Protocol not supported"),
          entry(94, "ESOCKTNOSUPPORT", "Socket type not supported"),
          entry(95, "EOPNOTSUPP", "Operation not supported"),
          entry(96, "EPFNOSUPPORT", "Protocol family not supported"),
          entry(97, "EAFNOSUPPORT", "Address family not supported by protocol"),
          entry(98, "EADDRINUSE", "Address already in use"),
          entry(99, "EADDRNOTAVAIL", "Cannot assign requested address"),
          entry(100, "ENETDOWN", "Network is down"),
          entry(101, "ENETUNREACH", "Network is unreachable"),
          entry(102, "ENETRESET", "Network dropped connection on reset"),
          entry(103, "ECONNABORTED", "Software caused connection abort"),
          entry(104, "ECONNRESET", "Connection reset by peer"),
          entry(105, "ENOBUFS", "No buffer space available"),
          entry(106, "EISCONN", "Transport endpoint is already connected"),
          entry(107, "ENOTCONN", "Transport endpoint is not connected"),
          entry(108, "ESHUTDOWN", "Cannot send after transport endpoint shutdown"),
          entry(109, "ETOOMANYREFS", "Too many references: cannot splice"),
          entry(110, "ETIMEDOUT", "Connection timed out"),
          entry(111, "ECONNREFUSED", "Connection refused"),
          entry(112, "EHOSTDOWN", "Host is down"),
          entry(113, "EHOSTUNREACH", "No route to host"),
          entry(114, "EALREADY", "Operation already in progress"),
          entry(115, "EINPROGRESS", "Operation now in progress"),
          entry(116, "ESTALE", "Stale file handle"),
          entry(121, "EREMOTEIO", "Remote I/O error"),
          entry(122, "EDQUOT", "Disk quota exceeded"),
          entry(125, "ECANCELED", "Operation canceled"),
          entry(126, "ENOKEY", "Required key not available"),
          entry(129, "EKEYREJECTED", "Key was rejected by service"),
          entry(130, "EOWNERDEAD", "Owner died"),
          entry(131, "ENOTRECOVERABLE", "State not recoverable"),
          entry(133, "EHWPOISON", "Memory page has hardware error"));

  private Errno() {}

  private static Map.Entry<Integer, Entry> entry(int errno, String name, String text) {
    return Map.entry(errno, new Entry(name, text));
  }

  /** The symbolic name, such as {@code ENOMEM}; for an unknown number {@code errno 4711}. */
  public static String name(int errno) {
    Entry entry = ENTRIES.get(Math.abs(errno));
    return entry != null ? entry.name() : "errno " + Math.abs(errno);
  }

  /** The C library's text, such as {@code Cannot allocate memory}. */
  public static String text(int errno) {
    Entry entry = ENTRIES.get(Math.abs(errno));
    return entry != null ? entry.text() : "Unknown error " + Math.abs(errno);
  }

  /** Name and text: {@code ENOMEM (Cannot allocate memory)}; the name alone for unknown numbers. */
  public static String describe(int errno) {
    return ENTRIES.containsKey(Math.abs(errno))
        ? name(errno) + " (" + text(errno) + ")"
        : name(errno);
  }
}

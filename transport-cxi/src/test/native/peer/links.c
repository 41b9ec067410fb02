/*
 * Control connections. What this process accepted brings handshakes, which are answered, and
 * notifications; what it dialled brings answers alone. One connection serves all that goes to one
 * control port.
 */
#include "peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER_SECONDS = 10, PATIENCE_SECONDS = 30, BACKLOG = 64 };

struct link {
  struct link *next;
  int fd;
  bool dialled;
  bool over;  /* nothing more is sent */
  bool ended; /* all that came was looked at */
  struct sockaddr_in to;
  struct bytes joined; /* kept back until it is sent in one piece */
};

struct peer {
  struct peer *next;
  struct link *link; /* dialled by this process; NULL: there is none */
  bool known;        /* its handshake has come */
  bool taken;        /* by await_peer, or it never waited for that */
  uint64_t number;
};

struct behaviour behaviour;

/* Guards what is below, and sending. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct link *links;
static struct peer *peers;
static struct notification *notifications;
static struct tally counted;
static bool registered;
static int listener = -1;
static uint16_t own_port;

static struct timespec in_seconds(int seconds) {
  struct timespec deadline;
  clock_gettime(CLOCK_REALTIME, &deadline);
  deadline.tv_sec += seconds;
  return deadline;
}

/* --- sending; under the lock --- */

static bool send_all(int fd, struct bytes bytes, size_t at_once) {
  for (size_t sent = 0; sent < bytes.length;) {
    size_t left = bytes.length - sent;
    ssize_t count =
        send(fd, bytes.at + sent, left < at_once ? left : at_once, MSG_NOSIGNAL);
    if (count < 0 && errno != EINTR) {
      return false;
    }
    sent += count < 0 ? 0 : (size_t)count;
  }
  return true;
}

static bool send_on(struct link *link, struct bytes frame) {
  if (link->over) {
    return false;
  }
  if (!behaviour.join) {
    return send_all(link->fd, frame, behaviour.split ? 1 : frame.length);
  }
  struct bytes both = {allocated(link->joined.length + frame.length),
                       link->joined.length + frame.length};
  if (link->joined.length > 0) {
    memcpy(both.at, link->joined.at, link->joined.length);
  }
  memcpy(both.at + link->joined.length, frame.at, frame.length);
  free(link->joined.at);
  link->joined = both;
  return true;
}

void send_joined(void) {
  pthread_mutex_lock(&lock);
  for (struct link *link = links; link != NULL; link = link->next) {
    if (link->joined.length > 0 && !link->over) {
      send_all(link->fd, link->joined, link->joined.length);
    }
    free(link->joined.at);
    link->joined = (struct bytes){NULL, 0};
  }
  pthread_mutex_unlock(&lock);
}

bool send_to(const struct peer *peer, struct bytes frame) {
  pthread_mutex_lock(&lock);
  bool sent = peer->link != NULL && send_on(peer->link, frame);
  pthread_mutex_unlock(&lock);
  free(frame.at);
  return sent;
}

void hang_up(const struct peer *peer) {
  pthread_mutex_lock(&lock);
  if (peer->link != NULL) {
    peer->link->over = true;
    shutdown(peer->link->fd, SHUT_RDWR);
  }
  pthread_mutex_unlock(&lock);
}

static struct bytes own_handshake(void) {
  return encode_handshake(0, behaviour.no_port ? 0 : own_port, endpoint_address(),
                          behaviour.trailing);
}

/* --- peers --- */

static struct peer *add_peer(struct link *link, bool taken) {
  struct peer *made = allocated(sizeof *made);
  *made = (struct peer){.link = link, .taken = taken};
  struct peer **end = &peers;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = made;
  return made;
}

static void know(struct peer *peer, struct handshake handshake) {
  if (handshake.address_length < endpoint_address().length) {
    die("a handshake with an address of %u bytes", handshake.address_length);
  }
  peer->number = insert_address(handshake.address);
  peer->known = true;
  pthread_cond_broadcast(&changed);
}

uint64_t peer_number(const struct peer *peer) { return peer->number; }

/* --- receiving: a thread for each connection --- */

static void *receive(void *link);

static struct link *add_link(int fd, bool dialled, struct sockaddr_in to) {
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct link *made = allocated(sizeof *made);
  *made = (struct link){.next = links, .fd = fd, .dialled = dialled, .to = to};
  links = made;
  pthread_t thread;
  if (pthread_create(&thread, NULL, receive, made) != 0) {
    die("no thread can be started");
  }
  pthread_detach(thread);
  return made;
}

/* The connection to a control port that there is, or a new one; NULL if there can be none. */
static struct link *dial(struct sockaddr_in to) {
  for (struct link *link = links; link != NULL; link = link->next) {
    if (link->dialled && !link->over && link->to.sin_port == to.sin_port &&
        link->to.sin_addr.s_addr == to.sin_addr.s_addr) {
      return link;
    }
  }
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
    close(fd);
    return NULL;
  }
  return add_link(fd, true, to);
}

static void answer(struct link *link, struct handshake handshake) {
  pthread_mutex_lock(&lock);
  counted.handshakes++;
  if (!registered) {
    die("a handshake before any memory is registered");
  }
  struct sockaddr_in back = link->to;
  back.sin_port = htons(handshake.port);
  struct peer *peer = add_peer(handshake.port == 0 ? NULL : dial(back), false);
  struct timespec late = {.tv_sec = behaviour.late_ms / 1000,
                          .tv_nsec = (long)(behaviour.late_ms % 1000) * 1000000};
  pthread_mutex_unlock(&lock);
  nanosleep(&late, NULL);
  pthread_mutex_lock(&lock);
  know(peer, handshake);
  if (!behaviour.silent) {
    struct bytes frame = own_handshake();
    send_on(link, frame);
    free(frame.at);
  }
  pthread_mutex_unlock(&lock);
}

static void take_answer(const struct link *link, struct bytes payload) {
  struct handshake handshake = decode_handshake(payload);
  pthread_mutex_lock(&lock);
  counted.answers++;
  struct peer *asked = peers;
  while (asked != NULL && (asked->link != link || asked->known)) {
    asked = asked->next;
  }
  if (asked == NULL) {
    die("a frame on a connection that this process dialled, and nothing was asked there");
  }
  know(asked, handshake);
  pthread_mutex_unlock(&lock);
}

static void take_notification(struct bytes payload) {
  struct notification *made = decode_notification(payload);
  pthread_mutex_lock(&lock);
  counted.notifications++;
  struct notification **end = &notifications;
  while (*end != NULL) {
    end = &(*end)->next;
  }
  *end = made;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
}

static bool receive_all(int fd, void *into, size_t length) {
  for (size_t filled = 0; filled < length;) {
    ssize_t count = recv(fd, (uint8_t *)into + filled, length - filled, 0);
    if (count == 0 || (count < 0 && errno != EINTR)) {
      return false;
    }
    filled += count < 0 ? 0 : (size_t)count;
  }
  return true;
}

static bool receive_frame(struct link *link) {
  uint32_t prefix;
  if (!receive_all(link->fd, &prefix, sizeof prefix)) {
    return false;
  }
  struct bytes payload = {NULL, ntohl(prefix)};
  if (payload.length == 0) {
    return true;
  }
  if (payload.length > MOST_FRAME_BYTES) {
    die("a frame of %zu bytes", payload.length);
  }
  payload.at = allocated(payload.length);
  bool whole = receive_all(link->fd, payload.at, payload.length);
  if (whole && link->dialled) {
    take_answer(link, payload);
  } else if (whole && is_notification(payload)) {
    take_notification(payload);
  } else if (whole) {
    answer(link, decode_handshake(payload));
  }
  free(payload.at);
  return whole;
}

static void *receive(void *of) {
  struct link *link = of;
  while (receive_frame(link)) {
  }
  pthread_mutex_lock(&lock);
  link->over = true;
  link->ended = true;
  close(link->fd);
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&lock);
  return NULL;
}

static void *accept_all(void *unused) {
  (void)unused;
  for (;;) {
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    int fd = accept4(listener, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
    if (fd < 0) {
      die("accept: %s", strerror(errno));
    }
    pthread_mutex_lock(&lock);
    counted.accepted++;
    add_link(fd, false, from);
    pthread_mutex_unlock(&lock);
  }
}

/* --- commands --- */

uint16_t listen_for_peers(void) {
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof own;
  listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listener < 0 || bind(listener, (struct sockaddr *)&own, sizeof own) != 0 ||
      listen(listener, BACKLOG) != 0 ||
      getsockname(listener, (struct sockaddr *)&own, &length) != 0) {
    die("listening: %s", strerror(errno));
  }
  own_port = ntohs(own.sin_port);
  pthread_t thread;
  if (pthread_create(&thread, NULL, accept_all, NULL) != 0) {
    die("no thread can be started");
  }
  return own_port;
}

void has_memory(void) {
  pthread_mutex_lock(&lock);
  registered = true;
  pthread_mutex_unlock(&lock);
}

struct peer *begin_connect(struct sockaddr_in to) {
  pthread_mutex_lock(&lock);
  struct link *link = dial(to);
  struct peer *peer = NULL;
  if (link != NULL) {
    peer = add_peer(link, true);
    struct bytes frame = own_handshake();
    send_on(link, frame);
    free(frame.at);
  }
  pthread_mutex_unlock(&lock);
  return peer;
}

bool await_answer(const struct peer *peer) {
  struct timespec deadline = in_seconds(ANSWER_SECONDS);
  pthread_mutex_lock(&lock);
  int result = 0;
  while (!peer->known && result == 0) {
    result = pthread_cond_timedwait(&changed, &lock, &deadline);
  }
  bool known = peer->known;
  pthread_mutex_unlock(&lock);
  return known;
}

static struct peer *next_peer(void) {
  struct peer *peer = peers;
  while (peer != NULL && (peer->taken || !peer->known)) {
    peer = peer->next;
  }
  return peer;
}

struct peer *await_peer(void) {
  struct timespec deadline = in_seconds(PATIENCE_SECONDS);
  pthread_mutex_lock(&lock);
  int result = 0;
  while (next_peer() == NULL && result == 0) {
    result = pthread_cond_timedwait(&changed, &lock, &deadline);
  }
  struct peer *peer = next_peer();
  if (peer != NULL) {
    peer->taken = true;
  }
  pthread_mutex_unlock(&lock);
  return peer;
}

struct notification *await_notification(void) {
  struct timespec deadline = in_seconds(PATIENCE_SECONDS);
  pthread_mutex_lock(&lock);
  int result = 0;
  while (notifications == NULL && result == 0) {
    result = pthread_cond_timedwait(&changed, &lock, &deadline);
  }
  struct notification *first = notifications;
  if (first != NULL) {
    notifications = first->next;
  }
  pthread_mutex_unlock(&lock);
  return first;
}

static bool all_ended(void) {
  const struct link *link = links;
  while (link != NULL && link->ended) {
    link = link->next;
  }
  return link == NULL;
}

bool await_ends(void) {
  struct timespec deadline = in_seconds(PATIENCE_SECONDS);
  pthread_mutex_lock(&lock);
  int result = 0;
  while (!all_ended() && result == 0) {
    result = pthread_cond_timedwait(&changed, &lock, &deadline);
  }
  bool ended = all_ended();
  pthread_mutex_unlock(&lock);
  return ended;
}

struct tally tally(void) {
  pthread_mutex_lock(&lock);
  struct tally now = counted;
  pthread_mutex_unlock(&lock);
  return now;
}

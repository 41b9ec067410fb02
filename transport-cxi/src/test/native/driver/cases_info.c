/* What fi_getinfo offers and refuses; addresses. */
#include "driver.h"

static int ask(struct fi_info *wanted, struct fi_info **info) {
  int status = fi_getinfo(FI_VERSION(2, 1), NULL, NULL, 0, wanted, info);
  fi_freeinfo(wanted);
  return status;
}

static int refused(struct fi_info *wanted) {
  struct fi_info *info = NULL;
  return ask(wanted, &info);
}

static void four_domains(void) {
  struct fi_info *info = NULL;
  expect(ask(hints(), &info), 0);
  const struct fi_info *each = info;
  for (char number = '0'; number < '4'; number++) {
    char name[] = {'c', 'x', 'i', number, '\0'};
    expect(each != NULL && strcmp(each->domain_attr->name, name) == 0, true);
    expect(strcmp(each->fabric_attr->prov_name, "cxi"), 0);
    expect(each->addr_format, FI_ADDR_CXI);
    expect(each->ep_attr->type, FI_EP_RDM);
    expect(each->ep_attr->max_msg_size, 0xffffffffll);
    expect(each->tx_attr->inject_size, 192);
    expect(each->tx_attr->iov_limit + each->tx_attr->rma_iov_limit, 2);
    expect(each->mode, 0);
    expect(each->domain_attr->data_progress, FI_PROGRESS_MANUAL);
    expect(each->domain_attr->control_progress, FI_PROGRESS_MANUAL);
    each = each->next;
  }
  expect(each == NULL, true);
  fi_freeinfo(info);
}

static void unknown_domain(void) {
  struct fi_info *wanted = hints();
  wanted->domain_attr->name = strdup("cxi4");
  expect(refused(wanted), -FI_ENODATA);
}

static void only_rdm(void) {
  struct fi_info *wanted = hints();
  wanted->ep_attr->type = FI_EP_MSG;
  expect(refused(wanted), -FI_ENODATA);
}

static int with_threading(enum fi_threading threading) {
  struct fi_info *wanted = hints();
  struct fi_info *info = NULL;
  wanted->domain_attr->threading = threading;
  int status = ask(wanted, &info);
  if (status == 0) {
    expect(info->domain_attr->threading, threading);
    fi_freeinfo(info);
  }
  return status;
}

static void threading(void) {
  expect(with_threading(FI_THREAD_SAFE), 0);
  expect(with_threading(FI_THREAD_COMPLETION), 0);
  expect(with_threading(FI_THREAD_DOMAIN), 0);
  expect(with_threading(FI_THREAD_ENDPOINT), -FI_ENODATA);
  expect(with_threading(FI_THREAD_FID), -FI_ENODATA);
}

static void manual_progress(void) {
  struct fi_info *wanted = hints();
  wanted->domain_attr->data_progress = FI_PROGRESS_AUTO;
  expect(refused(wanted), -FI_ENODATA);
}

static int with_sizes(size_t tx, size_t rx, size_t expected_tx, size_t expected_rx) {
  struct fi_info *wanted = hints();
  struct fi_info *info = NULL;
  wanted->tx_attr->size = tx;
  wanted->rx_attr->size = rx;
  int status = ask(wanted, &info);
  if (status == 0) {
    expect(info->tx_attr->size, (long long)expected_tx);
    expect(info->rx_attr->size, (long long)expected_rx);
    fi_freeinfo(info);
  }
  return status;
}

static void queue_sizes(void) {
  expect(with_sizes(0, 0, 1024, 1024), 0);
  expect(with_sizes(16384, 15360, 16384, 15360), 0);
  expect(with_sizes(16385, 0, 0, 0), -FI_ENODATA);
  expect(with_sizes(0, 15361, 0, 0), -FI_ENODATA);
}

static void limits(void) {
  struct fi_info *wanted = hints();
  wanted->tx_attr->inject_size = 193;
  expect(refused(wanted), -FI_ENODATA);
  wanted = hints();
  wanted->tx_attr->iov_limit = 2;
  expect(refused(wanted), -FI_ENODATA);
  wanted = hints();
  wanted->tx_attr->rma_iov_limit = 2;
  expect(refused(wanted), -FI_ENODATA);
  wanted = hints();
  wanted->ep_attr->max_msg_size = 1ull << 32;
  expect(refused(wanted), -FI_ENODATA);
}

static void region_modes(void) {
  struct fi_info *info = NULL;
  struct fi_info *wanted = hints();
  wanted->domain_attr->mr_mode |= FI_MR_VIRT_ADDR;
  expect(ask(wanted, &info), 0);
  expect(info->domain_attr->mr_mode, FI_MR_ENDPOINT | FI_MR_ALLOCATED | FI_MR_PROV_KEY);
  expect(info->domain_attr->mr_key_size, 8);
  fi_freeinfo(info);
  info = describe("cxi1", false);
  expect(info->domain_attr->mr_mode, FI_MR_ENDPOINT | FI_MR_ALLOCATED);
  expect(info->domain_attr->mr_key_size, 4);
  fi_freeinfo(info);
  wanted = hints();
  wanted->domain_attr->mr_mode = FI_MR_VIRT_ADDR | FI_MR_ALLOCATED | FI_MR_PROV_KEY;
  expect(refused(wanted), -FI_ENODATA);
}

static void capabilities(void) {
  struct fi_info *info = NULL;
  expect(ask(hints(), &info), 0);
  expect((info->caps & FI_HMEM) == 0, true);
  expect((info->caps & FI_REMOTE_WRITE) != 0, true);
  fi_freeinfo(info);
  struct fi_info *wanted = hints();
  wanted->caps |= FI_HMEM;
  expect(ask(wanted, &info), 0);
  expect((info->caps & FI_HMEM) != 0, true);
  fi_freeinfo(info);
  wanted = hints();
  wanted->caps |= FI_TAGGED;
  expect(refused(wanted), -FI_ENODATA);
}

static void is_absent(void) { expect(refused(hints()), -FI_ENODATA); }

static void is_there(void) {
  struct fi_info *info = NULL;
  expect(ask(hints(), &info), 0);
  fi_freeinfo(info);
}

static void addresses(void) {
  struct side side;
  uint8_t short_address[4];
  size_t length = sizeof short_address;
  open_side(&side, (struct settings){0});
  expect(fi_getname(&side.ep->fid, short_address, &length), -FI_ETOOSMALL);
  expect(length, 8);
  fi_addr_t first = insert(&side, side.address);
  fi_addr_t second = insert(&side, side.address);
  expect(first != second, true);
  uint8_t found[8];
  length = sizeof found;
  expect(fi_av_lookup(side.av, second, found, &length), 0);
  expect(memcmp(found, side.address, 8), 0);
  expect(fi_av_remove(side.av, &first, 1, 0), 0);
  expect(insert(&side, side.address), (long long)first);
  close_side(&side);
}

static void malformed_address(void) {
  struct side side;
  open_side(&side, (struct settings){0});
  for (int byte = 0; byte < 8; byte++) {
    uint8_t bad[8];
    fi_addr_t index = 0;
    memcpy(bad, side.address, sizeof bad);
    bad[byte] ^= 0x11;
    expect(fi_av_insert(side.av, bad, 1, &index, 0, NULL), 0);
    expect(index == FI_ADDR_NOTAVAIL, true);
  }
  close_side(&side);
}

static void no_name_before_enable(void) {
  struct side side;
  size_t length = sizeof side.address;
  open_side(&side, (struct settings){.not_enabled = true});
  expect(fi_getname(&side.ep->fid, side.address, &length), -FI_EOPBADSTATE);
  close_side(&side);
}

const struct test_case info_cases[] = {
    {"the domains are cxi0 to cxi3, with the attributes of cxi", four_domains, {NULL}},
    {"an unknown domain is ENODATA", unknown_domain, {NULL}},
    {"endpoints are RDM only", only_rdm, {NULL}},
    {"threading is safe, completion or domain", threading, {NULL}},
    {"progress is manual", manual_progress, {NULL}},
    {"queues have 1024 entries, at most 16384 and 15360", queue_sizes, {NULL}},
    {"inject, iov and message sizes have limits", limits, {NULL}},
    {"registration wants an endpoint and allocated memory, never virtual addresses",
     region_modes,
     {NULL}},
    {"FI_HMEM is there only when asked for", capabilities, {NULL}},
    {"without a device nothing is found", is_absent, {"FI_CXI_SIM_NO_DEVICE", "1", NULL}},
    {"FI_PROVIDER=cxi hides the provider beneath", is_absent, {"FI_PROVIDER", "cxi", NULL}},
    {"FI_PROVIDER=cxi,tcp does not", is_there, {"FI_PROVIDER", "cxi,tcp", NULL}},
    {"an address has 8 bytes, and its index is given again", addresses, {NULL}},
    {"a malformed address is not inserted", malformed_address, {NULL}},
    {"an endpoint has its address when it is enabled", no_name_before_enable, {NULL}},
    {NULL, NULL, {NULL}},
};

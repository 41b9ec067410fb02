/* The life of a memory region, and its keys. */
#include "driver.h"

#include <sys/mman.h>

static char small[4096];

static void key_at_enable(void) {
  struct side side;
  struct fid_mr *region = NULL;
  open_side(&side, (struct settings){0});
  expect(fi_mr_reg(side.domain, small, sizeof small, FI_REMOTE_WRITE, 0, 5, 0, &region, NULL), 0);
  expect(fi_mr_key(region) == FI_KEY_NOTAVAIL, true);
  expect(fi_mr_bind(region, &side.ep->fid, 0), 0);
  expect(fi_mr_key(region) == FI_KEY_NOTAVAIL, true);
  expect(fi_mr_enable(region), 0);
  uint64_t key = fi_mr_key(region);
  expect(key != FI_KEY_NOTAVAIL && key > 0xffffffffull, true);
  expect(fi_close(&region->fid), 0);
  region = enabled_region(&side, small, sizeof small, FI_REMOTE_WRITE, 5);
  expect(fi_mr_key(region) != key, true);
  expect(fi_close(&region->fid), 0);
  close_side(&side);
}

static void bind_before_enable(void) {
  struct side side;
  struct fid_mr *region = NULL;
  open_side(&side, (struct settings){.not_enabled = true});
  expect(fi_mr_reg(side.domain, small, sizeof small, FI_REMOTE_WRITE, 0, 0, 0, &region, NULL), 0);
  expect(fi_mr_enable(region), -FI_EINVAL);
  expect(fi_mr_bind(region, &side.ep->fid, 0), -FI_EINVAL);
  expect(fi_enable(side.ep), 0);
  expect(fi_mr_bind(region, &side.ep->fid, 0), 0);
  expect(fi_mr_bind(region, &side.ep->fid, 0), -FI_EINVAL);
  expect(fi_mr_enable(region), 0);
  expect(fi_close(&region->fid), 0);
  close_side(&side);
}

static void client_keys(void) {
  struct side side;
  struct fid_mr *first = NULL;
  struct fid_mr *second = NULL;
  open_side(&side, (struct settings){.client_keys = true});
  expect(fi_mr_reg(side.domain, small, 8, FI_REMOTE_WRITE, 0, 0, 0, &first, NULL), 0);
  expect(fi_mr_key(first), 0);
  expect(fi_mr_reg(side.domain, small, 8, FI_REMOTE_WRITE, 0, 0, 0, &second, NULL), -FI_ENOKEY);
  expect(fi_mr_reg(side.domain, small, 8, FI_REMOTE_WRITE, 0, 1ull << 32, 0, &second, NULL),
         -FI_EKEYREJECTED);
  expect(fi_close(&first->fid), 0);
  expect(fi_mr_reg(side.domain, small, 8, FI_REMOTE_WRITE, 0, 0, 0, &second, NULL), 0);
  expect(fi_close(&second->fid), 0);
  close_side(&side);
}

static void key_zero(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){.client_keys = true}, (struct settings){.client_keys = true});
  struct fid_mr *zero = enabled_region(&pair.target, small, sizeof small, FI_REMOTE_WRITE, 0);
  expect(write_outcome(&pair, sizeof small, 0, fi_mr_key(zero)), 0);
  expect(memcmp(small, source, sizeof small), 0);
  expect(fi_close(&zero->fid), 0);
  close_pair(&pair);
}

static void one_iov(void) {
  struct side side;
  struct fid_mr *region = NULL;
  struct iovec iov[] = {{small, 8}, {small + 8, 8}};
  open_side(&side, (struct settings){0});
  expect(fi_mr_regv(side.domain, iov, 2, FI_REMOTE_WRITE, 0, 0, 0, &region, NULL), -FI_ENOSYS);
  expect(fi_mr_regv(side.domain, iov, 1, FI_REMOTE_WRITE, 0, 0, 0, &region, NULL), 0);
  expect(fi_close(&region->fid), 0);
  close_side(&side);
}

static void memory_that_is_not_there(void) {
  struct side side;
  struct fid_mr *region = NULL;
  open_side(&side, (struct settings){0});
  char *mapped = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  expect(mapped != MAP_FAILED, true);
  expect(munmap(mapped + 4096, 4096), 0);
  expect(fi_mr_reg(side.domain, mapped, 4097, FI_REMOTE_READ, 0, 0, 0, &region, NULL), -FI_EFAULT);
  expect(fi_mr_reg(side.domain, NULL, 8, FI_REMOTE_READ, 0, 0, 0, &region, NULL), -FI_EFAULT);
  expect(fi_mr_reg(side.domain, mapped, 4096, FI_REMOTE_READ, 0, 0, 0, &region, NULL), 0);
  expect(fi_close(&region->fid), 0);
  expect(munmap(mapped, 4096), 0);
  close_side(&side);
}

static void region_limit(void) {
  static struct fid_mr *regions[65536];
  struct fid_mr *one_more = NULL;
  struct side side;
  open_side(&side, (struct settings){0});
  for (size_t i = 0; i < 65536; i++) {
    regions[i] = enabled_region(&side, small, sizeof small, FI_REMOTE_WRITE, 0);
  }
  expect(fi_mr_reg(side.domain, small, 8, FI_REMOTE_READ, 0, 0, 0, &one_more, NULL), -FI_ENOSPC);
  expect(fi_close(&regions[4711]->fid), 0);
  regions[4711] = enabled_region(&side, small, 8, FI_REMOTE_READ, 0);
  for (size_t i = 0; i < 65536; i++) {
    expect(fi_close(&regions[i]->fid), 0);
  }
  expect(counted(SIM_MRS), 0);
  close_side(&side);
}

static int register_on(struct side *side, enum fi_hmem_iface iface, uint64_t flags) {
  struct iovec iov = {small, sizeof small};
  struct fi_mr_dmabuf buffer = {.fd = 0, .offset = 8, .len = 64, .base_addr = small};
  struct fi_mr_attr attr = {
      .mr_iov = &iov, .iov_count = 1, .access = FI_REMOTE_WRITE, .iface = iface};
  struct fid_mr *region = NULL;
  if ((flags & FI_MR_DMABUF) != 0) {
    attr.dmabuf = &buffer;
  }
  int status = fi_mr_regattr(side->domain, &attr, flags, &region);
  if (status == 0) {
    expect(fi_close(&region->fid), 0);
  }
  return status;
}

static void no_device_memory(void) {
  struct side side;
  open_side(&side, (struct settings){.hmem = true});
  expect(register_on(&side, FI_HMEM_SYSTEM, 0), 0);
  expect(register_on(&side, FI_HMEM_CUDA, 0), -FI_EOPNOTSUPP);
  expect(register_on(&side, FI_HMEM_CUDA, FI_MR_DMABUF), -FI_EOPNOTSUPP);
  close_side(&side);
}

static void device_memory(void) {
  struct side side;
  open_side(&side, (struct settings){.hmem = true});
  expect(register_on(&side, FI_HMEM_SYSTEM, 0), 0);
  expect(register_on(&side, FI_HMEM_CUDA, 0), 0);
  expect(register_on(&side, FI_HMEM_CUDA, FI_MR_DMABUF), 0);
  expect(register_on(&side, FI_HMEM_ROCR, 0), -FI_EOPNOTSUPP);
  close_side(&side);
}

static void cycles(void) {
  struct pair pair;
  open_pair(&pair, (struct settings){0}, (struct settings){0});
  for (int i = 0; i < 1000; i++) {
    struct fid_mr *region = enabled_region(&pair.target, small, sizeof small, FI_REMOTE_WRITE, 0);
    uint64_t key = fi_mr_key(region);
    expect(write_outcome(&pair, 64, 0, key), 0);
    expect(fi_close(&region->fid), 0);
    expect(provider_error(&pair, 64, 0, key), 0x5101);
  }
  expect(counted(SIM_MRS), 1);
  expect(counted(SIM_LINGERING), 0);
  expect(counted(SIM_REFUSED_KEY), 1000);
  close_pair(&pair);
}

const struct test_case memory_cases[] = {
    {"a provider's key is there when the region is enabled, and not given twice",
     key_at_enable,
     {NULL}},
    {"a region is bound to one enabled endpoint, then enabled", bind_before_enable, {NULL}},
    {"a client's key has 4 bytes and may be taken", client_keys, {NULL}},
    {"0 is a key", key_zero, {NULL}},
    {"a region has one iov", one_iov, {NULL}},
    {"memory that is not mapped is refused", memory_that_is_not_there, {NULL}},
    {"a domain has 65536 regions", region_limit, {NULL}},
    {"without a GPU device memory is refused", no_device_memory, {NULL}},
    {"with a simulated GPU device memory is taken", device_memory, {"FI_CXI_SIM_GPU", "1", NULL}},
    {"regions that are made, written and closed leave nothing", cycles, {NULL}},
    {NULL, NULL, {NULL}},
};

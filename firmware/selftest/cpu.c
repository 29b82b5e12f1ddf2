/* Integer instructions against values worked out by hand, and a hash as the sum of many. */
#include "selftest.h"

static const u32 K[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
  0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
  0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
  0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
  0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
  0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};

static u32 rotate(u32 value, u32 by) { return value >> by | value << (32 - by); }

static void sha256_block(u32 *state, const u8 *bytes) {
  u32 w[64], s[8];
  for (u32 i = 0; i < 16; i++) w[i] = (u32)bytes[4 * i] << 24 | (u32)bytes[4 * i + 1] << 16 | (u32)bytes[4 * i + 2] << 8 | bytes[4 * i + 3];
  for (u32 i = 16; i < 64; i++)
    w[i] = w[i - 16] + w[i - 7] + (rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
           (rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
  memcpy(s, state, sizeof s);
  for (u32 i = 0; i < 64; i++) {
    u32 t1 = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + K[i] + w[i];
    u32 t2 = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    for (u32 j = 7; j; j--) s[j] = s[j - 1];
    s[4] += t1;
    s[0] = t1 + t2;
  }
  for (u32 i = 0; i < 8; i++) state[i] += s[i];
}

/* FIPS 180-4: one million letters "a", the third example of its annex. */
static void sha256_million(u32 *state) {
  static const u32 initial[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
  u8 block[64];
  memcpy(state, initial, sizeof initial);
  memset(block, 'a', sizeof block);
  for (u32 i = 0; i < 1000000 / 64; i++) sha256_block(state, block);
  memset(block, 0, sizeof block);
  /* 1,000,000 is a multiple of 64: the last block is the padding, with the length of 8,000,000 bits. */
  block[0] = 0x80;
  block[61] = 0x7a, block[62] = 0x12, block[63] = 0x00;
  sha256_block(state, block);
}

#define ASM2(text, result, a, b) __asm__ volatile(text : "=r"(result) : "r"((u64)(a)), "r"((u64)(b)) : "cc")

static void test_arithmetic(void) {
  u64 high, low, r, flags;
  ASM2("umulh %0, %1, %2", high, 0xfedcba9876543210, 0x0123456789abcdef);
  ASM2("mul %0, %1, %2", low, 0xfedcba9876543210, 0x0123456789abcdef);
  check("cpu.multiply", high == 0x0121fa00ad77d742 && low == 0x2236d88fe5618cf0, "0x%016lx%016lx", high, low);
  ASM2("udiv %0, %1, %2", high, 1234567890123456789, 1000003);
  ASM2("udiv %0, %1, %2", low, 5, 0);
  ASM2("sdiv %0, %1, %2", r, 0x8000000000000000, -1);
  check("cpu.divide", high == 1234564186430 && low == 0 && r == 0x8000000000000000, "%lu, by zero %lu, overflow 0x%lx", high, low, r);
  __asm__ volatile("adds %0, %2, %3\n mrs %1, nzcv" : "=r"(r), "=r"(flags) : "r"(0x7fffffffffffffffUL), "r"(1UL) : "cc");
  u64 first = flags >> 28;
  __asm__ volatile("subs %w0, %w2, %w3\n mrs %1, nzcv" : "=r"(r), "=r"(flags) : "r"(5UL), "r"(5UL) : "cc");
  check("cpu.flags", first == 9 && flags >> 28 == 6, "NZCV %lx after overflow, %lx after equal", first, flags >> 28);
  __asm__ volatile("rbit %0, %1" : "=r"(high) : "r"(0x0000000000000001UL));
  __asm__ volatile("clz %0, %1" : "=r"(low) : "r"(0x0000000010000000UL));
  ASM2("extr %0, %1, %2, #20", r, 0x0123456789abcdef, 0xfedcba9876543210);
  check("cpu.bits", high == 1UL << 63 && low == 35 && r == 0xbcdeffedcba98765, "0x%lx %lu 0x%lx", high, low, r);
}

static void test_exclusive(void) {
  static u64 cell;
  u64 value;
  u32 first, second, third;
  cell = 41;
  __asm__ volatile(
      "ldxr %0, [%4]\n add %0, %0, #1\n stxr %w1, %0, [%4]\n"
      "ldxr %0, [%4]\n clrex\n stxr %w2, xzr, [%4]\n"
      "stxr %w3, xzr, [%4]"
      : "=&r"(value), "=&r"(first), "=&r"(second), "=&r"(third)
      : "r"(&cell)
      : "memory");
  check("cpu.exclusive", first == 0 && second == 1 && third == 1 && cell == 42, "store after load %u, after CLREX %u, without load %u; %lu",
        first, second, third, cell);
}

void test_cpu(void) {
  section("CPU");
  u64 features = read_sysreg(id_aa64mmfr0_el1);
  check("cpu.exception-level", read_sysreg(CurrentEL) >> 2 == boot_el && (boot_el == 1 || boot_el == 2), "EL%lu, MIDR 0x%08lx, %lu.%03lu MHz timer",
        read_sysreg(CurrentEL) >> 2, read_sysreg(midr_el1), timer_frequency() / 1000000, timer_frequency() / 1000 % 1000);
  /* ITD and SED, bits 7 and 8, are RES1 on a CPU whose EL0 has no AArch32. */
  u64 control = read_sysreg_el(sctlr);
  check("cpu.mmu-on", (control & 0x1005) == 0x1005, "SCTLR 0x%08lx, granule fields 0x%lx", control & ~0x180UL, features >> 20 & 0xfff);
  test_arithmetic();
  test_exclusive();
  u32 hash[8];
  u64 start = timer_count();
  sha256_million(hash);
  u64 spent = timer_microseconds(timer_count() - start);
  check("cpu.sha256", hash[0] == 0xcdc76e5c && hash[7] == 0xc7112cd0, "%08x..%08x over a million bytes, t=%luus", hash[0], hash[7], spent);
}

/* Register access. Device memory is nGnRE: accesses to one device stay in program order, no barrier is needed between them. */
#ifndef IO_H
#define IO_H
#include "types.h"

static inline u8 read8(u64 address) {
  u32 value;
  __asm__ volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return (u8)value;
}
static inline u16 read16(u64 address) {
  u32 value;
  __asm__ volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return (u16)value;
}
static inline u32 read32(u64 address) {
  u32 value;
  __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return value;
}
static inline u64 read64(u64 address) {
  u64 value;
  __asm__ volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return value;
}
static inline void write8(u64 address, u8 value) { __asm__ volatile("strb %w1, [%0]" ::"r"(address), "r"((u32)value) : "memory"); }
static inline void write16(u64 address, u16 value) { __asm__ volatile("strh %w1, [%0]" ::"r"(address), "r"((u32)value) : "memory"); }
static inline void write32(u64 address, u32 value) { __asm__ volatile("str %w1, [%0]" ::"r"(address), "r"(value) : "memory"); }
static inline void write64(u64 address, u64 value) { __asm__ volatile("str %1, [%0]" ::"r"(address), "r"(value) : "memory"); }

#endif

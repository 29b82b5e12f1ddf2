/* PL031, PL061 and the flash. */
#include "cfi_flash.h"
#include "gicv2.h"
#include "pl031.h"
#include "pl061.h"
#include "selftest.h"

static volatile u32 alarms;
static u32 alarm_seconds, alarm_mis;
static u64 alarm_from;

static void on_alarm(u32 intid, void *argument) {
  (void)intid, (void)argument;
  alarm_mis = read32(BOARD_RTC_BASE + RTCMIS);
  write32(BOARD_RTC_BASE + RTCICR, 1);
  alarms++;
}

/* The clock ticks once a second: the alarm is set before the other checks and awaited after them. */
void test_rtc_start(void) {
  pl031_start(BOARD_RTC_BASE);
  alarm_seconds = pl031_seconds(BOARD_RTC_BASE) + 1;
  alarm_from = timer_count();
  gic_handle(BOARD_RTC_INTID, on_alarm, NULL);
  gic_enable(BOARD_RTC_INTID);
  pl031_alarm(BOARD_RTC_BASE, alarm_seconds);
}

void test_rtc_finish(void) {
  u64 rtc = BOARD_RTC_BASE;
  section("PL031");
  u32 id = identification(rtc + RTCPeriphID0), cell = identification(rtc + RTCPCellID0);
  check("rtc.id", (id & 0xfffff) == 0x41031 && cell == PRIMECELL_ID, "part 0x%03x designer 0x%02x, component 0x%08x", id & 0xfff, id >> 12 & 0xff, cell);
  check("rtc.running", read32(rtc + RTCCR) == 1 && read32(rtc + RTCMR) == alarm_seconds, "CR %u, MR reads back", read32(rtc + RTCCR));
  bool came = wait_count(&alarms, 1, 1500000, WATCHDOG_PHYSICAL);
  u64 waited = timer_microseconds(timer_count() - alarm_from);
  u32 now = pl031_seconds(rtc);
  check("rtc.alarm", came && alarm_mis == 1 && alarms == 1 && now >= alarm_seconds && waited <= 3000000, "INTID %u, MIS %u, t=%luus after it was set",
        BOARD_RTC_INTID, alarm_mis, waited);
  gic_disable(BOARD_RTC_INTID);
  /* Raw without the mask: match again, at the present second. */
  write32(rtc + RTCIMSC, 0);
  u32 cleared = read32(rtc + RTCRIS);
  pl031_quiet(rtc);
  check("rtc.cleared", cleared == 0 && read32(rtc + RTCMIS) == 0, "RIS %u", cleared);
}

static volatile u32 edges;
static u32 gpio_mis;
static void on_gpio(u32 intid, void *argument) {
  (void)intid, (void)argument;
  gpio_mis = read32(BOARD_GPIO_BASE + GPIOMIS);
  write32(BOARD_GPIO_BASE + GPIOIE, 0);
  edges++;
}

void test_gpio(void) {
  u64 gpio = BOARD_GPIO_BASE;
  section("PL061");
  u32 id = identification(gpio + GPIOPeriphID0), cell = identification(gpio + GPIOPCellID0);
  check("gpio.id", (id & 0xfffff) == 0x41061 && cell == PRIMECELL_ID, "part 0x%03x designer 0x%02x, component 0x%08x", id & 0xfff, id >> 12 & 0xff, cell);
  pl061_direction(gpio, 0xf0);
  pl061_write(gpio, 0xff, 0xa0);
  u8 high = pl061_read(gpio, 0xf0);
  /* 3.3.1: only the bits whose address bit is 1 are written, and the others read as 0. */
  pl061_write(gpio, 0x30, 0x1f);
  u8 masked = pl061_read(gpio, 0xf0), some = pl061_read(gpio, 0x90);
  check("gpio.masked-access", high == 0xa0 && masked == 0x90 && some == 0x90, "0x%02x, 0x%02x, 0x%02x", high, masked, some);
  check("gpio.direction", read32(gpio + GPIODIR) == 0xf0, "0x%02x", read32(gpio + GPIODIR));
  pl061_write(gpio, 0xf0, 0);
  pl061_direction(gpio, 0);

  /* A level interrupt at the level that the input has; then at the other. */
  u8 level = pl061_read(gpio, 0x01);
  gic_handle(BOARD_GPIO_INTID, on_gpio, NULL);
  gic_enable(BOARD_GPIO_INTID);
  write32(gpio + GPIOIE, 0);
  write32(gpio + GPIOIS, 0x01);
  write32(gpio + GPIOIBE, 0);
  write32(gpio + GPIOIEV, level);
  u32 ris = read32(gpio + GPIORIS) & 1, mis = read32(gpio + GPIOMIS) & 1;
  write32(gpio + GPIOIE, 0x01);
  bool came = wait_count(&edges, 1, 10000, WATCHDOG_PHYSICAL);
  write32(gpio + GPIOIEV, !level);
  write32(gpio + GPIOIC, 0xff);
  u32 other = read32(gpio + GPIORIS) & 1;
  write32(gpio + GPIOIS, 0);
  write32(gpio + GPIOIEV, 0);
  write32(gpio + GPIOIC, 0xff);
  gic_disable(BOARD_GPIO_INTID);
  check("gpio.level-interrupt", came && gpio_mis == 1 && ris == 1 && mis == 0 && other == 0, "INTID %u, RIS %u MIS %u masked, %u at the other level",
        BOARD_GPIO_INTID, ris, mis, other);
}

void test_flash(void) {
  struct cfi_geometry flash = { 0 };
  u64 base = BOARD_FLASH1_BASE;
  section("CFI flash");
  if (!check("flash.query", cfi_query(base, &flash) && flash.command_set == 1 && flash.size == BOARD_FLASH1_SIZE,
             "command set %u, %lu MiB, %u blocks of %u KiB", flash.command_set, flash.size >> 20, flash.blocks, flash.block_size >> 10))
    return;
  u64 block = flash.size - flash.block_size, last = block + flash.block_size - 4;
  u32 status = cfi_erase(base, block);
  check("flash.erase", status == 0x80 && read32(base + block) == 0xffffffff && read32(base + last) == 0xffffffff, "status 0x%02x, block reads 0x%08x", status,
        read32(base + block));
  status = cfi_program(base, block + 4, 0x12345678);
  check("flash.program", status == 0x80 && read32(base + block + 4) == 0x12345678 && read32(base + block) == 0xffffffff, "status 0x%02x, 0x%08x, byte 0x%02x",
        status, read32(base + block + 4), read8(base + block + 5));
  /* Programming turns ones into zeros and never back. */
  cfi_program(base, block + 8, 0xff00ff0f);
  cfi_program(base, block + 8, 0x0ff0f0ff);
  check("flash.program-and", read32(base + block + 8) == 0x0f00f00f, "0x%08x", read32(base + block + 8));
  u32 words[8], good = 0;
  for (u32 i = 0; i < 8; i++) words[i] = 0x01010101 * (i + 1);
  status = cfi_program_buffer(base, block + 64, words, 8);
  for (u32 i = 0; i < 8; i++) good += read32(base + block + 64 + 4 * i) == words[i];
  check("flash.write-buffer", status == 0x80 && good == 8, "status 0x%02x, %u of 8 words", status, good);
  status = cfi_erase(base, block);
  check("flash.erase-again", status == 0x80 && read32(base + block + 4) == 0xffffffff, "0x%08x", read32(base + block + 4));
}

// Random accesses against the rules of SPEC.md: bench SEED.
//
// The master's channels wait by chance, both halves of a write in any order. The rules below are SPEC.md's, one access at a
// time, in the order in which accesses arrive at a port; axil_check.sv looks at the ports' own rules.
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <set>
#include <vector>

#include "Vbench.h"
#include "Vbench___024root.h"
#include "verilated.h"

namespace {

constexpr uint32_t KEY = 0x54455352;
// Cycles in which one access has to end, and accesses of a run.
constexpr int PATIENCE = 2000, ROUNDS = 120, ACCESSES = 400;
enum Kind { RANGE, ALIGN, DOUBLE_FREE, OVERFLOW_, DISABLED, CONFIG, KINDS = 9 };
enum Source { PATH = 0, CONFIGURATION = 3, INJECTED = 4 };

uint64_t now, seed;

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* text, ...) {
  va_list values;
  va_start(values, text);
  std::printf("bench: seed %llu, cycle %llu: ", (unsigned long long)seed, (unsigned long long)now);
  std::vprintf(text, values);
  std::printf("\n");
  std::fflush(stdout);
  std::exit(1);
}

// What a run must have come to, so that it shows anything.
enum Seen {
  SEEN_ERROR, FULL = SEEN_ERROR + 6, EMPTY_ALLOC, ROUNDED, DEPLETED, RECOVERED, MESSAGE, HELD, PENDED, PARTIAL, ENABLED, REFUSED,
  WHILE_BUSY, IN_RESET, FLR, INJECTS, SATURATED, SEEN
};
const char* const SEEN_NAMES[SEEN] = {"RANGE", "ALIGN", "DOUBLE_FREE", "OVERFLOW", "DISABLED", "CONFIG", "a list at its capacity",
  "an allocation from an empty list", "a freed address that was rounded down", "DEPLETED", "RECOVERED", "a message",
  "messages that were held back", "a vector that pends", "a write of some bytes", "a pool enabled", "a pool that was not valid",
  "an enable while the list is emptied", "an access in a reset", "a function level reset", "several kinds injected at once",
  "a count at its end"};
std::array<uint64_t, SEEN> seen;

// A register of 64 bits by halves: one of them replaced.
uint64_t half(uint64_t old, uint32_t offset, uint32_t value) {
  return offset & 4 ? (old & 0xffffffff) | uint64_t(value) << 32 : (old & ~0xffffffffull) | value;
}
uint32_t half_of(uint64_t value, uint32_t offset) { return uint32_t(offset & 4 ? value >> 32 : value); }

struct Pool {
  bool enable = false, natural = false, armed = false;
  uint64_t base = 0, end = 0, error_address = 0, kept_alloc = 0;
  uint32_t stride = 0, capacity = 0, low = 0, high = 0, event = 0, event_enable = 0, vector = 0, error = 0, kept_free = 0;
  std::set<uint64_t> list; // addresses
};

// The device as SPEC.md has it, one access at a time.
struct Model {
  uint32_t pools_count, vectors, buffers, width;
  uint32_t liveness = 0, control = 0, resets = 0, status = 0, error_enable = 0, error_vector = 0, irq_enable = 0, irq_pending = 0;
  uint64_t scratch = 0, record = 0, address = 0;
  std::array<uint32_t, KINDS> counts{};
  std::vector<Pool> pools;
  std::vector<uint64_t> messages; // of each vector
  bool is_busy = false;           // the list of the pool whose POOL_CONTROL is written is being emptied

  uint64_t kept() const { return width == 64 ? ~0ull : (2ull << width) - 1; }

  void reset() {
    auto fresh = Model{pools_count, vectors, buffers, width};
    fresh.resets = (resets + 1) & 0x7fffffff, fresh.messages = messages, fresh.pools.resize(pools_count);
    *this = fresh;
  }

  void raise(uint32_t vector) {
    if (vector >= vectors) return;
    if (irq_enable >> vector & 1) messages[vector]++, seen[MESSAGE]++;
    else irq_pending |= 1u << vector, seen[PENDED]++;
  }

  void error(Kind kind, Source source, uint32_t pool, uint64_t about) {
    if (kind < 6) seen[SEEN_ERROR + kind]++;
    if (!(status >> kind & 1) && error_enable >> kind & 1) raise(error_vector);
    status |= 1u << kind;
    if (counts[kind] != 0xfffffffe) counts[kind]++;
    else seen[SATURATED]++;
    if (!(record & 1)) record = 1 | uint64_t(kind) << 4 | uint64_t(source) << 8 | uint64_t(pool) << 16, address = about;
  }

  void pool_error(Kind kind, Source source, uint32_t number, uint64_t about) {
    Pool& pool = pools[number];
    if (!pool.error) pool.error_address = about;
    pool.error |= 1u << kind;
    error(kind, source, number, about);
  }

  void event(Pool& pool, uint32_t bits) {
    if (bits & ~pool.event & pool.event_enable) raise(pool.vector);
    pool.event |= bits;
  }

  void rises(Pool& pool) {
    if (pool.low && !pool.armed && pool.list.size() >= pool.high) pool.armed = true, seen[RECOVERED]++, event(pool, 2);
    if (pool.list.size() == pool.capacity) seen[FULL]++;
  }

  void falls(Pool& pool) {
    if (pool.low && pool.armed && pool.list.size() + 1 == pool.low) pool.armed = false, seen[DEPLETED]++, event(pool, 1);
  }

  void free(uint32_t number, uint64_t about) {
    Pool& pool = pools[number];
    auto refuse = [&](Kind kind) { pool_error(kind, PATH, number, about); };
    if (!(control & 1) || !pool.enable) return refuse(DISABLED);
    if (about < pool.base || about >= pool.end) return refuse(RANGE);
    uint64_t within = (about - pool.base) % pool.stride;
    if (within && !pool.natural) return refuse(ALIGN);
    if (pool.list.count(about - within)) return refuse(DOUBLE_FREE);
    if (pool.list.size() >= pool.capacity) return refuse(OVERFLOW_);
    if (within) seen[ROUNDED]++;
    pool.list.insert(about - within);
    rises(pool);
  }

  bool is_valid(const Pool& pool, bool natural) const {
    uint64_t stride = pool.stride;
    if (!stride || stride & (stride - 1) || stride < 64 || stride > 1ull << 30) return false;
    if (!pool.base || pool.base % 64 || pool.end <= pool.base || (width < 64 && pool.end > 1ull << width)) return false;
    uint64_t buffers_there = (pool.end - pool.base) / stride;
    if ((pool.end - pool.base) % stride || !pool.capacity || pool.capacity > buffers || pool.capacity > buffers_there) return false;
    // README.md: the range of this device's pools has no more buffers than its lists.
    return buffers_there <= buffers && (!natural || pool.base % stride == 0);
  }

  void write_control(uint32_t number, uint32_t value) {
    Pool& pool = pools[number];
    bool enable = value & 1, natural = value >> 1 & 1;
    if (!pool.enable) {
      pool.natural = natural;
      if (!enable) return;
      if (is_busy) seen[WHILE_BUSY]++;
      if (is_busy || !is_valid(pool, natural)) { seen[REFUSED]++; return pool_error(CONFIG, CONFIGURATION, number, value & 3); }
      pool.enable = pool.armed = true, seen[ENABLED]++;
    } else if (!enable) {
      pool.enable = false, pool.natural = natural;
      pool.list.clear();
    } else if (natural != pool.natural) pool_error(CONFIG, CONFIGURATION, number, value & 3);
  }

  // A locked register's new value; `about` has all bits of the write.
  template <class T> void write_locked(uint32_t number, T& place, uint64_t value, uint64_t about) {
    if (!pools[number].enable) place = T(value);
    else if (place != T(value)) pool_error(CONFIG, CONFIGURATION, number, about);
  }

  void write_pool(uint32_t number, uint32_t offset, uint32_t value) {
    Pool& pool = pools[number];
    switch (offset) {
      case 0x00: return write_control(number, value);
      case 0x08: case 0x0c: {
        uint64_t all = half(pool.base, offset, value);
        return write_locked(number, pool.base, all & kept(), all);
      }
      case 0x10: case 0x14: {
        uint64_t all = half(pool.end, offset, value);
        return write_locked(number, pool.end, all & kept(), all);
      }
      case 0x18: return write_locked(number, pool.stride, value, value);
      case 0x1c: return write_locked(number, pool.capacity, value, value);
      case 0x24: pool.low = value; return;
      case 0x28: pool.high = value; return;
      case 0x2c: pool.event &= ~value; return;
      case 0x30: event(pool, value & 3); return;
      case 0x34:
        if (value & 3 & ~pool.event_enable & pool.event) raise(pool.vector);
        pool.event_enable = value & 3;
        return;
      case 0x38: pool.vector = value & 31; return;
      case 0x3c:
        pool.error &= ~value;
        if (!pool.error) pool.error_address = 0;
        return;
      case 0x40:
        if (value & 63 & ((value & 63) - 1)) seen[INJECTS]++;
        for (int kind = 0; kind < 6; kind++) if (value >> kind & 1) pool_error(Kind(kind), INJECTED, number, 0);
        return;
      default: return;
    }
  }

  uint32_t read_pool(uint32_t number, uint32_t offset) {
    Pool& pool = pools[number];
    uint32_t count = pool.list.size();
    switch (offset) {
      case 0x00: return pool.enable | pool.natural << 1;
      case 0x04: return pool.enable | (pool.enable && !count) << 1 | (count < pool.low) << 2;
      case 0x08: case 0x0c: return half_of(pool.base, offset);
      case 0x10: case 0x14: return half_of(pool.end, offset);
      case 0x18: return pool.stride;
      case 0x1c: return pool.capacity;
      case 0x20: return count;
      case 0x24: return pool.low;
      case 0x28: return pool.high;
      case 0x2c: case 0x30: return pool.event;
      case 0x34: return pool.event_enable;
      case 0x38: return pool.vector;
      case 0x3c: case 0x40: return pool.error;
      case 0x48: case 0x4c: return half_of(pool.error_address, offset);
      default: return 0;
    }
  }

  void write(uint32_t bar, uint32_t offset, uint32_t value) {
    if (offset & 3) return;
    if (bar == 2) {
      uint32_t number = offset >> 12;
      if (number >= pools_count) return;
      if ((offset & 0xfff) == 8) pools[number].kept_free = value;
      if ((offset & 0xfff) == 12) free(number, uint64_t(value) << 32 | pools[number].kept_free);
      return;
    }
    if (offset >= 0x4000 && offset < 0x8000 && (offset >> 8 & 63) < pools_count) return write_pool(offset >> 8 & 63, offset & 255, value);
    switch (offset) {
      case 0x0c: liveness = ~value; break;
      case 0x10: case 0x14: scratch = half(scratch, offset, value); break;
      case 0x40: control = value & 3; break;
      case 0x48: if (value == KEY) reset(); break;
      case 0x80: status &= ~value; break;
      case 0x84:
        for (int kind = 0; kind < KINDS; kind++) if (value >> kind & 1) error(Kind(kind), INJECTED, 0, 0);
        break;
      case 0x88:
        if (value & 0x1ff & ~error_enable & status) raise(error_vector);
        error_enable |= value & 0x1ff;
        break;
      case 0x8c: error_enable &= ~value; break;
      case 0xa0: if (value & 1) record = address = 0; break;
      case 0xa4: error_vector = value & 31; break;
      case 0x104: {
        uint32_t news = value & ~irq_enable & ((2ull << (vectors - 1)) - 1);
        irq_enable |= news;
        for (uint32_t i = 0; i < vectors; i++) if (news & irq_pending & 1u << i) messages[i]++, seen[MESSAGE]++;
        irq_pending &= ~news;
        break;
      }
      case 0x108: irq_enable &= ~value; break;
      case 0x10c: raise(value & 31); break;
      default: break;
    }
  }

  uint32_t read(uint32_t bar, uint32_t offset) {
    if (offset & 3) return 0;
    if (bar == 2) {
      uint32_t number = offset >> 12;
      return number < pools_count && (offset & 0xfff) == 4 ? half_of(pools[number].kept_alloc, 4) : 0;
    }
    if (offset >= 0x4000 && offset < 0x8000) {
      uint32_t number = offset >> 8 & 63;
      return number < pools_count ? read_pool(number, offset & 255) : 0;
    }
    if (offset >= 0xc0 && offset < 0xc0 + 4 * KINDS) return counts[(offset - 0xc0) / 4];
    switch (offset) {
      case 0x00: return 0x31554d42;
      case 0x04: return 0x00010001;
      case 0x08: return 0x00020001;
      case 0x0c: return liveness;
      case 0x10: case 0x14: return half_of(scratch, offset);
      case 0x20: return pools_count | vectors << 16;
      case 0x24: return 10 << 8 | 3;
      case 0x28: return width | 6 << 8 | 30 << 16;
      case 0x2c: return 0x1bd;
      case 0x30: return buffers;
      case 0x38: case 0x3c: return 100;
      case 0x40: return control;
      case 0x44: return 1 | (control & 2);
      case 0x4c: return resets;
      case 0x80: case 0x84: return status;
      case 0x88: case 0x8c: return error_enable;
      case 0x90: case 0x94: return half_of(record, offset);
      case 0x98: case 0x9c: return half_of(address, offset);
      case 0xa4: return error_vector;
      case 0x100: return irq_pending;
      case 0x104: case 0x108: return irq_enable;
      default: return 0;
    }
  }
};

struct Access {
  bool is_write, has_address, has_data;
  uint32_t offset, value, strobes;
};

// One of the device's ports: its pins, and what is on its way.
struct Port {
  uint32_t bar;
  IData& awaddr; CData& awvalid; CData& awready;
  IData& wdata; CData& wstrb; CData& wvalid; CData& wready;
  CData& bresp; CData& bvalid; CData& bready;
  IData& araddr; CData& arvalid; CData& arready;
  IData& rdata; CData& rresp; CData& rvalid; CData& rready;
  std::deque<uint32_t> addresses{}, reads{};
  std::deque<std::pair<uint32_t, uint32_t>> data{};
  // Accesses at the pins that the model has not made, in their order; answers that R and B owe.
  std::deque<Access> arrived{};
  std::deque<std::pair<uint32_t, uint32_t>> expected{};
  uint64_t owed = 0;
  uint32_t last_read = 0;

  bool is_idle() const { return addresses.empty() && data.empty() && reads.empty() && arrived.empty() && expected.empty() && !owed; }

  // The access at the pins that still lacks this half, or a new one.
  Access& half(bool Access::*part) {
    for (auto& access : arrived) if (access.is_write && !(access.*part)) return access.*part = true, access;
    arrived.push_back({true, false, false, 0, 0, 0});
    return arrived.back().*part = true, arrived.back();
  }
};

struct Bench {
  VerilatedContext context;
  Vbench top{&context};
  std::mt19937_64 random{seed};
  // Verilator has a 16-bit type for BAR 0's addresses, so they pass through these.
  IData c_awaddr = 0, c_araddr = 0;
  Port control{0, c_awaddr, top.c_awvalid, top.c_awready, top.c_wdata, top.c_wstrb, top.c_wvalid, top.c_wready, top.c_bresp,
    top.c_bvalid, top.c_bready, c_araddr, top.c_arvalid, top.c_arready, top.c_rdata, top.c_rresp, top.c_rvalid, top.c_rready};
  Port operation{2, top.o_awaddr, top.o_awvalid, top.o_awready, top.o_wdata, top.o_wstrb, top.o_wvalid, top.o_wready, top.o_bresp,
    top.o_bvalid, top.o_bready, top.o_araddr, top.o_arvalid, top.o_arready, top.o_rdata, top.o_rresp, top.o_rvalid, top.o_rready};
  Model model{};
  std::vector<uint64_t> messages;
  std::vector<int> waited; // cycles that a vector's message has waited
  uint64_t accesses = 0;
  uint32_t eager = 128;    // out of 256: how eager the master is
  bool holds_back = false; // messages
  bool free_reads = false;

  bool chance(uint32_t of_256) { return (random() & 255) < of_256; }
  uint32_t below(uint32_t limit) { return random() % limit; }
  Port& port(uint32_t bar) { return bar ? operation : control; }

  void write(uint32_t bar, uint32_t offset, uint32_t value, uint32_t strobes = 15) {
    port(bar).addresses.push_back(offset);
    port(bar).data.push_back({value, strobes});
    accesses++;
  }
  void read(uint32_t bar, uint32_t offset) { port(bar).reads.push_back(offset), accesses++; }

  // Applies what is complete and has nothing before it.
  void apply(Port& port) {
    while (!port.arrived.empty()) {
      Access access = port.arrived.front();
      if (access.is_write && !(access.has_address && access.has_data)) return;
      port.arrived.pop_front();
      if (!access.is_write) port.expected.push_back({access.offset, free_reads ? 0 : model.read(port.bar, access.offset)});
      else {
        port.owed++;
        if (access.strobes == 15) model.write(port.bar, access.offset, access.value);
        else seen[PARTIAL]++;
      }
    }
  }

  void offer(Port& port) {
    port.awvalid |= !port.addresses.empty() && chance(eager);
    port.wvalid |= !port.data.empty() && chance(eager);
    port.arvalid |= !port.reads.empty() && chance(eager);
    if (port.awvalid) port.awaddr = port.addresses.front();
    if (port.wvalid) port.wdata = port.data.front().first, port.wstrb = port.data.front().second;
    if (port.arvalid) port.araddr = port.reads.front();
    port.bready = chance(eager), port.rready = chance(eager);
  }

  // What is agreed at the pins in this cycle: which of the master's three channels go on.
  std::array<bool, 3> agree(Port& port) {
    bool aw = port.awvalid && port.awready, w = port.wvalid && port.wready, ar = port.arvalid && port.arready;
    if (aw) port.half(&Access::has_address).offset = port.awaddr;
    if (w) {
      Access& access = port.half(&Access::has_data);
      access.value = port.wdata, access.strobes = port.wstrb;
    }
    if (ar) port.arrived.push_back({false, true, true, port.araddr, 0, 0});
    apply(port);
    if (port.bvalid && port.bready) {
      if (!port.owed) fail("BAR %u: an answer to no write", port.bar);
      port.owed--;
    }
    if (port.rvalid && port.rready) {
      if (port.expected.empty()) fail("BAR %u: an answer to no read", port.bar);
      auto [offset, value] = port.expected.front();
      port.expected.pop_front();
      port.last_read = port.rdata;
      if (!free_reads && port.rdata != value) fail("BAR %u 0x%05x reads 0x%08x instead of 0x%08x", port.bar, offset, port.rdata, value);
    }
    if (port.bresp || port.rresp) fail("BAR %u: an access was answered with an error", port.bar);
    return {aw, w, ar};
  }

  void settle(Port& port, const std::array<bool, 3>& went) {
    if (went[0]) port.addresses.pop_front(), port.awvalid = 0;
    if (went[1]) port.data.pop_front(), port.wvalid = 0;
    if (went[2]) port.reads.pop_front(), port.arvalid = 0;
  }

  // One cycle: the master decides, the pins settle, what was agreed happens, the clock ticks.
  void cycle() {
    offer(control), offer(operation);
    top.c_awaddr = c_awaddr, top.c_araddr = c_araddr;
    uint32_t ready = 0;
    for (uint32_t i = 0; i < model.vectors; i++)
      if (!holds_back && (waited[i] >= 8 || chance(48))) ready |= 1u << i;
    top.irq_ready = ready;
    top.eval();
    auto c = agree(control), o = agree(operation);
    for (uint32_t i = 0; i < model.vectors; i++) {
      bool waits = top.irq_valid >> i & 1, taken = waits && ready >> i & 1;
      messages[i] += taken;
      waited[i] = waits && !taken ? waited[i] + 1 : 0;
    }
    top.aclk = 1;
    top.eval();
    now++;
    context.timeInc(1);
    settle(control, c), settle(operation, o);
    top.aclk = 0;
    top.eval();
  }

  // Goes on until every access has its answer.
  void drain() {
    int left = PATIENCE * int(1 + control.reads.size() + control.data.size() + operation.reads.size() + operation.data.size());
    for (; !control.is_idle() || !operation.is_idle(); left--) {
      if (left == 0) fail("an access has no answer");
      cycle();
    }
  }

  // An access whose answer only this asks for.
  uint32_t get(uint32_t bar, uint32_t offset) {
    drain();
    free_reads = true;
    read(bar, offset), drain();
    free_reads = false;
    return port(bar).last_read;
  }

  // Compares the messages of each vector, once all have been taken.
  void check_messages() {
    drain();
    bool held = holds_back;
    // A raise that waits for its turn still would be a message of its own.
    for (int i = 0; i < 64; i++) cycle();
    holds_back = false;
    for (int i = 0; i < 40 * int(model.vectors); i++) cycle();
    for (uint32_t i = 0; i < model.vectors; i++) {
      uint64_t wanted = held ? model.messages[i] != 0 : model.messages[i];
      if (held && model.messages[i] > 1) seen[HELD]++;
      if (messages[i] != wanted) fail("vector %u: %llu messages instead of %llu%s", i, (unsigned long long)messages[i], (unsigned long long)wanted, held ? ", which were held back" : "");
      messages[i] = model.messages[i] = 0;
    }
  }

  // Whether a reset lasts for as long as a few accesses.
  bool is_long() const { return model.buffers * model.pools_count >= 512; }

  // SPEC 9.2: until READY, STATUS works, others read 0 and ignore writes.
  void in_reset() {
    eager = 256;
    uint32_t status = get(0, 0x44);
    if (status & ~1u) fail("STATUS 0x%x in a reset", status);
    if (is_long()) {
      if (status & 1) fail("READY at once, with lists of %u to clear", model.buffers);
      uint32_t wrong = get(0, 0x00) | get(0, 0x4c) | get(0, 0x38) | get(2, 0);
      Model before = model;
      write(0, 0x10, 0x123), write(0, 0x40, 3), write(0, 0x48, KEY), drain();
      model = before;
      if (get(0, 0x44) & 1) fail("READY after a few cycles, with lists of %u to clear", model.buffers);
      if (wrong) fail("a register reads 0x%x in a reset", wrong);
      seen[IN_RESET]++;
    }
    for (uint64_t left = 2ull * model.buffers * model.pools_count + PATIENCE; !(get(0, 0x44) & 1); left--)
      if (left == 0) fail("STATUS.READY after a reset did not happen");
    for (uint32_t p = 0; p < model.pools_count; p++) read(0, 0x4004 + 0x100 * p);
    drain();
  }

  void power_up() {
    top.por_n = 0, top.aresetn = 0, top.flr = 0;
    for (int i = 0; i < 3; i++) cycle();
    top.por_n = 1, cycle();
    top.aresetn = 1;
    for (int left = 1 << 24; !(get(0, 0x44) & 1);) if (--left == 0) fail("STATUS.READY after power-up did not happen");
    uint32_t counts = get(0, 0x20);
    model.pools_count = counts & 127;
    model.buffers = get(0, 0x30), model.width = get(0, 0x28) & 127;
    model.pools.resize(model.pools_count);
    model.vectors = counts >> 16 & 63;
    for (auto list : {&messages, &model.messages}) list->assign(model.vectors, 0);
    waited.assign(model.vectors, 0);
  }

  void function_level_reset() {
    top.flr = 1;
    for (uint32_t i = 0, n = 1 + below(5); i < n; i++) cycle();
    top.flr = 0;
    model.reset();
    seen[FLR]++;
  }

  uint32_t any_pool() { return below(model.pools_count); }

  // The register path's read has an effect, and which buffer it is, nobody says: it is one of the list.
  void alloc(uint32_t number) {
    Pool& pool = model.pools[number];
    uint64_t address = get(2, number << 12);
    pool.kept_alloc = 0; // for `get` asks for both halves
    address |= uint64_t(get(2, number << 12 | 4)) << 32;
    pool.kept_alloc = address;
    bool may = model.control & 1 && pool.enable && !pool.list.empty();
    if (!may) {
      if (address) fail("pool %u gave 0x%llx and has nothing to give", number, (unsigned long long)address);
      if (pool.enable) seen[EMPTY_ALLOC]++;
    } else if (!pool.list.erase(address)) fail("pool %u gave 0x%llx, which is not in its list", number, (unsigned long long)address);
    else model.falls(pool);
  }

  void free(uint32_t number, uint64_t address) { write(2, number << 12 | 8, uint32_t(address)), write(2, number << 12 | 12, address >> 32); }

  uint64_t address_for(const Pool& pool) {
    uint64_t buffers = pool.stride ? (pool.end - pool.base) / pool.stride : 0;
    uint64_t buffer = pool.base + (buffers ? random() % buffers : 0) * pool.stride;
    switch (below(16)) {
      case 0: return pool.end + 64 * below(4);
      case 1: return pool.base - 1 - below(64);
      case 2: return buffer | 1ull << (model.width == 64 ? 63 : model.width + below(64 - model.width));
      case 3: case 4: return buffer + 1 + below(pool.stride > 1 ? pool.stride - 1 : 1);
      case 5: return random();
      default: return buffer;
    }
  }

  // Disables or enables a pool, with a configuration that mostly is valid. Its list is waited for, and now and then not.
  void configure(uint32_t number) {
    drain();
    uint32_t at = 0x4000 + 0x100 * number;
    eager = 256;
    bool had = model.pools[number].enable;
    write(0, at, below(2) << 1), drain();
    if (had && model.buffers >= 256 && chance(128)) {
      // Everything but BUSY is as in a disabled pool.
      model.is_busy = true;
      write(0, at, 1 | below(2) << 1), drain();
      model.is_busy = false;
      if (get(0, at + 4) >> 3 != 1) fail("POOL_STATUS.BUSY is 0 at once, with a list of %u to empty", model.buffers);
      alloc(number);
    }
    for (uint64_t left = 4ull * model.buffers * model.pools_count + PATIENCE; get(0, at + 4) & 8; left--)
      if (left == 0) fail("the list of pool %u is never empty", number);
    uint32_t log2 = 6 + (chance(200) ? below(8) : below(25));
    uint64_t stride = 1ull << log2, buffers = 1 + below(chance(128) ? 8 : model.buffers);
    uint64_t room = model.width == 64 ? ~0ull : 1ull << model.width;
    uint64_t base = chance(200) ? (1 + below(64)) * stride : chance(128) ? 64 + 64 * below(1000) : room - buffers * stride;
    uint64_t end = base + buffers * stride, capacity = chance(128) ? buffers : 1 + random() % buffers;
    switch (below(24)) { // one of what SPEC 5.1 forbids
      case 0: base = 0; break;
      case 1: base += 32; break;
      case 2: end += 64; break;
      case 3: end = base; break;
      case 4: capacity = buffers + 1; break;
      case 5: capacity = 0; break;
      case 6: stride += 64; break;
      case 7: stride = 1ull << (chance(128) ? 31 : 5); break;
      case 8: end = base + 2ull * model.buffers * stride; break;
      case 9: end = base - stride; break;
      case 10: if (model.width < 64) base = room, end = room + buffers * stride; break;
      default: break;
    }
    write(0, at + 8, uint32_t(base)), write(0, at + 12, base >> 32);
    write(0, at + 16, uint32_t(end)), write(0, at + 20, end >> 32);
    write(0, at + 24, uint32_t(stride)), write(0, at + 28, uint32_t(capacity));
    write(0, at + 36, chance(64) ? 0 : below(10)), write(0, at + 40, below(14));
    write(0, at, 1 | below(2) << 1);
    read(0, at), drain();
  }

  // Goes up and down around the thresholds, where DEPLETED comes again only after RECOVERED.
  void hover(uint32_t number) {
    Pool& pool = model.pools[number];
    uint32_t at = 0x4000 + 0x100 * number;
    write(0, at + 36, 3), write(0, at + 40, 5 + below(2)), drain();
    for (int i = 0; i < 60; i++) {
      eager = 256;
      if (pool.list.size() > 1 && (pool.list.size() > 6 || chance(128))) alloc(number);
      else free(number, pool.base + uint64_t(below(9)) * pool.stride), drain();
      read(0, at + 0x2c), write(0, at + 0x2c, 3), drain();
    }
  }

  // ERR_COUNT stops at 0xfffffffe (SPEC 4.4), which no bench counts up to: a count is set to just below it.
  void count_to_the_end() {
    uint32_t kind = below(KINDS), at = 0xc0 + 4 * kind;
    write(0, 0x84, 1u << kind), drain(); // a count that did not begin is 0
    for (int i = 0; i < 64; i++) cycle();
    top.rootp->bench__DOT__bmu__DOT__errors__DOT__counts[kind] = model.counts[kind] = 0xfffffffb + below(3);
    for (int i = 0; i < 6; i++) read(0, at), write(0, 0x84, below(2) ? 1u << kind : 0x1ff), drain();
    read(0, at), drain();
  }

  // A register that may be written and read beside others, with a word that matters to it.
  void any_register() {
    static const uint32_t device[] = {0x0c, 0x10, 0x14, 0x40, 0x80, 0x84, 0x88, 0x8c, 0xa0, 0xa4, 0x104, 0x108, 0x10c};
    static const uint32_t pool[] = {0x08, 0x0c, 0x10, 0x14, 0x18, 0x1c, 0x24, 0x28, 0x2c, 0x30, 0x34, 0x38, 0x3c, 0x40, 0x20, 0x48, 0x4c};
    uint32_t bar = 0, offset;
    switch (below(8)) {
      case 0: case 1: case 2: offset = device[below(sizeof device / 4)]; break;
      case 3: case 4: case 5: offset = 0x4000 + 0x100 * any_pool() + pool[below(sizeof pool / 4)]; break;
      case 6: offset = below(0x400) << (chance(200) ? 2 : 0); break;
      default: bar = 2, offset = chance(200) ? any_pool() << 12 | (4 + 4 * below(3)) : below(0x80000); break; // halves in any order
    }
    bool allocs = bar == 2 && (offset & 0xfff) == 0;
    if (allocs || offset == 0x48 || (offset & 0x40ff) == 0x4000 || (offset & 0x40ff) == 0x4004) return;
    uint32_t value = chance(200) ? below(64) : uint32_t(random());
    if (offset == 0x40) value = chance(220) ? 1 | below(4) : below(4);
    // Which of two accesses comes first is said of one port alone.
    if (bar == 2) drain();
    if (chance(150)) write(bar, offset, value, chance(245) ? 15 : below(15));
    else read(bar, offset);
    if (bar == 2) drain();
  }

  void access(uint32_t frees_of_256) {
    uint32_t number = any_pool();
    uint32_t kind = below(64);
    if (kind < 26) {
      if (chance(frees_of_256)) free(number, address_for(model.pools[number]));
      else alloc(number);
    } else if (kind < 60) {
      uint32_t n = 1 + below(3);
      for (uint32_t i = 0; i < n; i++) {
        any_register();
        if (chance(128)) drain();
      }
      drain();
      read(0, 0x4020 + 0x100 * number);
      if (chance(64)) read(0, 0x80 + 4 * below(0x20)), read(0, 0x403c + 0x100 * number);
    } else if (kind < 61) configure(number);
    else if (!model.pools[number].enable && chance(128)) configure(number);
    else if (kind == 63 && chance(64)) hover(number);
    drain();
  }

  void run() {
    power_up();
    for (int round = 0; round < ROUNDS; round++) {
      holds_back = chance(48);
      uint32_t frees = std::array{80u, 140u, 220u}[below(3)];
      write(0, 0x40, 1), drain();
      for (int i = 0; i < ACCESSES; i++) {
        eager = std::array{20u, 128u, 240u, 256u}[below(4)];
        access(frees);
      }
      if (chance(32)) count_to_the_end();
      if (holds_back) write(0, 0x104, 1), write(0, 0x10c, 0), write(0, 0x10c, 0), drain();
      check_messages();
      if (round % 4 == 3) {
        if (chance(128)) function_level_reset();
        else write(0, 0x48, KEY), drain();
        in_reset();
      }
    }
  }
};

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::fprintf(stderr, "usage: bench SEED\n"), 2;
  seed = std::strtoull(words[1], nullptr, 10);
  Bench bench;
  bench.run();
  auto is_possible = [&](int what) {
    return what == WHILE_BUSY ? bench.model.buffers >= 256 : what != IN_RESET || bench.is_long();
  };
  for (int i = 0; i < SEEN; i++)
    if (!seen[i] && is_possible(i)) fail("never saw %s", SEEN_NAMES[i]);
  std::printf("bench: seed %llu, %llu cycles, %llu accesses, %u pools of %u, %llu enables, %llu resets\n", (unsigned long long)seed,
    (unsigned long long)now, (unsigned long long)bench.accesses, bench.model.pools_count, bench.model.buffers,
    (unsigned long long)seen[ENABLED], (unsigned long long)bench.model.resets);
}

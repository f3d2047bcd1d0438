// The portals against the rules of SPEC.md: bench SEED.
//
// Beside the device stand a host memory behind AXI4, the lists of pools with a ledger of where each buffer is, and a host
// that leads portals through their lives. Every handshake waits by chance. What the device does at its pins is checked as it
// happens; each life ends in a way of its own, whose errors, status line and ledger are checked then.
#include <algorithm>
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <random>
#include <unordered_map>
#include <vector>

#include "Vbench.h"
#include "verilated.h"

namespace {

using u32 = uint32_t;
using u64 = uint64_t;

constexpr int POOLS = 4, PORTALS = 4;
constexpr u32 MAX_LOG2 = 10;
// Cycles in which whatever the host waits for has to come.
constexpr u64 PATIENCE = 200000;
constexpr int LIVES = 900;

enum Offset : u32 {
  CONTROL = 0x00, STATUS = 0x04, POOL = 0x08, SIZES = 0x0c, RELEASE_BASE = 0x10, ACQUIRE_BASE = 0x18, STATUS_BASE = 0x20,
  CREDITS = 0x28, HYSTERESIS = 0x2c, EVENT = 0x30, EVENT_SET = 0x34, EVENT_ENABLE = 0x38, VECTOR = 0x3c, ERROR = 0x40,
  ERROR_SET = 0x44, ERROR_ADDRESS = 0x48, RELEASE_HEAD = 0x50, ACQUIRE_TAIL = 0x54,
};
enum State : u32 { DISABLED, RUNNING, STOPPING, HALTED };
enum Kind : u32 { RANGE, ALIGN, DOUBLE_FREE, OVERFLOW, KIND_DISABLED, CONFIG, DMA_FAULT, BAD_DOORBELL, STALE_ENTRY };
enum Source : u32 { RELEASE_RING = 1, ACQUIRE_SIDE = 2, CONFIGURATION = 3, INJECTED = 4 };
constexpr u32 EMPTY = 1, HALTED_FLAG = 2, STOPPED = 4;

u64 now, seed;
const char* doing = ""; // told with what fails

[[noreturn]] __attribute__((format(printf, 1, 2))) void fail(const char* text, ...) {
  va_list values;
  va_start(values, text);
  std::printf("bench: seed %llu, cycle %llu, %s: ", (unsigned long long)seed, (unsigned long long)now, doing);
  std::vprintf(text, values);
  std::printf("\n");
  std::fflush(stdout);
  std::exit(1);
}

// What a run must have come to, so that it shows anything.
#define SEEN(X) \
  X(THIRD_LAP, "a third lap of both rings") X(BORDER, "a burst up to a border of 4 KiB") X(WRAP, "a burst up to a ring's end") \
  X(LONG, "a burst of 16 words") X(LINE_A, "a status line by rule (a)") X(LINE_B, "a status line by rule (b)") \
  X(LINE_C, "a first status line") X(LINE_STOP, "a status line with STOPPED") X(LINE_HALT, "a status line with HALTED") \
  X(STALE_PHASE, "a stale phase") X(STALE_BITS, "a stale entry by bits 5:1") X(BAD_RELEASE, "RELEASE_TAIL out of bounds") \
  X(BAD_ACQUIRE, "ACQUIRE_HEAD out of bounds") X(READ_REFUSED, "a refused read") X(LATE_REFUSAL, "a read refused behind its first word") \
  X(ENTRIES_REFUSED, "refused acquire entries") X(LINE_REFUSED, "a refused status line") X(HALTED_LINE_REFUSED, "a refused line with HALTED") \
  X(GIVEN_BACK, "a buffer that was given back") X(FREE_REFUSED, "a refused free") X(AVAILABLE, "AVAILABLE") \
  X(NO_MASTER, "DMA_FAULT without Bus Master") X(QUIESCED_IN_DMA, "a quiesce while DMA is under way") \
  X(DISABLED_IN_DMA, "ENABLE 0 while DMA is under way") X(RESET_IN_READ, "a reset in a read") X(RESET_IN_WORDS, "a reset among the words of a write") \
  X(DROPPED_WORDS, "words that a reset took the strobes from") X(BUS_RESET, "a reset of the bus in DMA") \
  X(HELD_STOP, "a stop that waits for a resume") X(LATE_DOORBELL, "a doorbell while stopping") X(EARLY_DOORBELL, "a doorbell while disabled") \
  X(LATE_ENABLE, "an enable while stopping") X(LOCKED, "a refused write of a locked register") X(INVALID, "a refused enable") \
  X(LOW_HALF, "a doorbell's low half alone") X(HIGH_HALF, "a doorbell's high half alone") X(SHARED, "two portals of one pool")
enum Seen {
#define X(name, text) name,
  SEEN(X)
#undef X
  ALL_SEEN
};
const char* const SEEN_NAMES[ALL_SEEN] = {
#define X(name, text) text,
  SEEN(X)
#undef X
};
std::array<u64, ALL_SEEN> seen;

struct Error {
  u32 kind, source, pool;
  u64 address;
  bool operator==(const Error& o) const { return kind == o.kind && source == o.source && pool == o.pool && address == o.address; }
};

struct Line {
  u32 release_head = 0, acquire_tail = 0, acquire_head = 0, flags = 0;
  u64 available = 0, sequence = 0;
};

enum Area { RELEASE_AREA, ACQUIRE_AREA, LINE_AREA };

// One portal as the host knows it.
struct Portal {
  u32 number = 0;
  bool may_use_memory = false; // else the device must not touch it
  u32 pool = 0, release_log2 = 3, acquire_log2 = 3, credits = 1, hysteresis = 1;
  u64 bases[3] = {};
  // The host's counts: entries stored, announced, taken, and what of that was announced.
  u32 stored = 0, announced = 0, taken = 0, announced_taken = 0;
  // The device's, as its pins show: entries freed, entries in memory.
  u32 freed = 0, written = 0;
  std::deque<u64> to_free; // entries that are stored and not freed
  Line line;
  bool refuses[3] = {};    // what bursts of an area get
  u64 refused = 0;         // the address of the last refused one
  u32 limit = 0;           // with refuses[RELEASE_AREA]: the first entry of the refused read, once `was_refused`
  bool was_refused = false;
  u64 stopped = ~0ull;     // when the host ended it: no write of entries begins after that
  std::vector<Error> errors, expected;

  u32 release_entries() const { return 1u << release_log2; }
  u32 acquire_entries() const { return 1u << acquire_log2; }
  u64 bytes(int area) const { return area == RELEASE_AREA ? 8ull << release_log2 : area == ACQUIRE_AREA ? 8ull << acquire_log2 : 32; }
  u64 acquire_place(u32 n) const { return bases[ACQUIRE_AREA] + 8ull * (n % acquire_entries()); }
  u64 release_place(u32 n) const { return bases[RELEASE_AREA] + 8ull * (n % release_entries()); }
};

u32 phase(u32 n, u32 log2) { return ~(n >> log2) & 1; }

// Registers that no reset sets, and memory, begin with what the seed gives.
struct Context : VerilatedContext {
  Context() { randReset(2), randSeed(int(seed & 0x7fffffff) | 1); }
};

struct Bench {
  Context context;
  Vbench top{&context};
  std::mt19937_64 random{seed};
  std::array<Portal, PORTALS> portals;
  // Out of 256: how eager each side is; and whether it measures: all are eager then.
  u32 eager = 128;
  bool measures = false;
  u64 pace = 2; // cycles from request to request, where it measures

  bool chance(u32 of_256) { return (random() & 255) < of_256; }
  u32 below(u32 limit) { return random() % limit; }
  bool eagerly() { return measures || chance(eager); }

  // ---- the lists and the ledger -------------------------------------------------------------

  enum Where { LIST, TAKEN, RING, HOST, RELEASED };
  std::unordered_map<u64, Where> ledger;
  std::array<std::vector<u64>, POOLS> lists, host;
  struct Answer { u64 address; bool error; u32 kind; u64 due; };
  std::deque<Answer> answers;
  std::array<u64, POOLS> found_empty{}; // takes that found nothing
  u64 taken_from_lists = 0;
  u64 last_request = 0;

  static u64 buffer(u32 pool, u32 number) { return 0x100000000ull * (pool + 1) + 2048ull * number; }

  // All buffers to lists and host, as after a reset.
  void deal() {
    ledger.clear();
    answers.clear();
    for (u32 pool = 0; pool < POOLS; pool++) {
      lists[pool].clear(), host[pool].clear();
      u32 count = measures ? 4096 : 40 + below(400);
      for (u32 i = 0; i < count; i++) {
        bool in_list = measures ? i < 2048 : chance(160);
        (in_list ? lists : host)[pool].push_back(buffer(pool, i));
        ledger[buffer(pool, i)] = in_list ? LIST : HOST;
      }
    }
  }

  void move(u64 address, Where from, Where to, const char* what) {
    auto at = ledger.find(address);
    if (at == ledger.end()) fail("%s: 0x%llx is no buffer", what, (unsigned long long)address);
    if (at->second != from) fail("%s: buffer 0x%llx is at %d, not %d", what, (unsigned long long)address, at->second, from);
    at->second = to;
  }

  u64 take_any(std::vector<u64>& from) {
    u32 i = below(from.size());
    std::swap(from[i], from.back());
    u64 address = from.back();
    from.pop_back();
    return address;
  }

  // What another user of the pool does.
  void host_takes(u32 pool) {
    if (lists[pool].empty()) return;
    u64 address = take_any(lists[pool]);
    move(address, LIST, HOST, "the host takes");
    host[pool].push_back(address);
  }
  void host_frees(u32 pool) {
    if (host[pool].empty()) return;
    u64 address = take_any(host[pool]);
    move(address, HOST, LIST, "the host frees");
    lists[pool].push_back(address);
  }

  // The check of a free (SPEC 4.4), as far as the bench makes errors.
  Answer checked_free(u32 pool, u64 address) {
    auto at = ledger.find(address);
    if (at == ledger.end()) return {0, true, address & 0x400 ? ALIGN : RANGE, 0};
    if (at->second == LIST) return {0, true, DOUBLE_FREE, 0};
    move(address, RELEASED, LIST, "a release entry");
    lists[pool].push_back(address);
    return {0, false, 0, 0};
  }

  void request() {
    u32 pool = top.req_pool;
    u64 address = top.req_addr;
    if (pool >= POOLS) fail("a request to pool %u", pool);
    if (answers.size() >= 4) fail("a fifth request at the lists");
    Answer answer{0, false, 0, 0};
    if (top.req_op == 0) {
      if (lists[pool].empty()) found_empty[pool]++;
      else {
        answer.address = take_any(lists[pool]), taken_from_lists++;
        move(answer.address, LIST, TAKEN, "the device takes");
      }
    } else if (top.req_op == 1) {
      answer = free(pool, address);
    } else {
      move(address, TAKEN, LIST, "the device gives back");
      lists[pool].push_back(address);
      seen[GIVEN_BACK]++;
    }
    answer.due = now + 1 + (measures ? 1 : chance(128) ? 0 : below(12));
    answers.push_back(answer);
    last_request = now;
  }

  // A free must be of the next entry of a ring of that pool. Addresses are in one ring at a time.
  Answer free(u32 pool, u64 address) {
    for (auto& p : portals) {
      if (p.pool != pool || p.to_free.empty() || (p.to_free.front() & ~63ull) != address || p.freed == p.announced) continue;
      if (p.was_refused && p.freed >= p.limit) fail("portal %u: an entry of a refused read is consumed", p.number);
      Answer answer = checked_free(pool, address);
      p.to_free.pop_front(), p.freed++;
      if (answer.error) {
        p.expected.push_back({answer.kind, RELEASE_RING, pool, address});
        seen[FREE_REFUSED]++;
      }
      return answer;
    }
    fail("a free of 0x%llx, which no ring announces next", (unsigned long long)address);
  }

  // ---- host memory behind AXI4 -----------------------------------------------------------------

  std::unordered_map<u64, u64> memory;
  struct Read { u64 address; u32 length, beat; int refused_beat; u64 due; };
  struct Write { u64 address; u32 length; std::vector<std::pair<u64, u32>> words; bool refused, visible; u64 due, shows; };
  std::deque<Read> reads;
  std::deque<Write> writes;                  // addresses came
  std::deque<std::pair<u64, u32>> early;     // words whose address has not come
  u64 words_after_clear = 0, last_dma = 0, latency = 8;
  bool in_reset = false;                     // no new DMA, but for what VALID asked for when it came; so without Bus Master:
  bool read_waits = false, write_waits = false;
  u64 read_rose = 0, write_rose = 0;         // when ARVALID and AWVALID became 1
  u64 unserved = ~0ull;                      // when portals were served no more: no read and no write of entries begins after that
  std::array<u64, 8> held{};                 // of VALID that waits: what it came with
  std::array<bool, 3> holds{};

  u64 get(u64 address) { auto at = memory.find(address); return at == memory.end() ? 0 : at->second; }

  // Which portal's which area a burst lies in.
  std::pair<Portal*, int> find(u64 address, u32 length) {
    for (auto& p : portals)
      for (int area = 0; area < 3; area++)
        if (address >= p.bases[area] && address + 8 * length <= p.bases[area] + p.bytes(area)) return {&p, area};
    fail("a burst of %u words at 0x%llx, where no portal has memory", length, (unsigned long long)address);
  }

  void check_burst(u64 address, u32 length, u32 size, u32 kind, bool& waits) {
    if (size != 3 || kind != 1 || address % 8 || length > 16) fail("a burst of an odd kind");
    if ((address & 4095) + 8 * length > 4096) fail("a burst of %u words at 0x%llx crosses 4 KiB", length, (unsigned long long)address);
    if ((address & 4095) + 8 * length == 4096) seen[BORDER]++;
    if (length == 16) seen[LONG]++;
    if (in_reset && !waits) fail("new DMA after a reset");
    if (!top.bus_master && !waits) fail("DMA without Bus Master");
    waits = false;
    last_dma = now;
  }

  void read_asked() {
    u32 length = top.m_axi_arlen + 1;
    u64 address = top.m_axi_araddr;
    check_burst(address, length, top.m_axi_arsize, top.m_axi_arburst, read_waits);
    auto [p, area] = find(address, length);
    if (!p->may_use_memory) fail("portal %u reads after its end", p->number);
    if (read_rose > unserved) fail("portal %u reads while it is not served", p->number);
    if (area != RELEASE_AREA) fail("a read of area %d", area);
    u32 place = (address - p->bases[0]) / 8, entries = p->release_entries();
    if ((place - p->freed) % entries + length > p->announced - p->freed) fail("portal %u reads what no doorbell announced", p->number);
    if (place + length == entries) seen[WRAP]++;
    int refused = -1;
    if (p->refuses[area]) {
      refused = below(length), p->refused = address;
      p->was_refused = true, p->limit = p->freed + (place - p->freed) % entries;
      seen[READ_REFUSED]++;
      if (refused) seen[LATE_REFUSAL]++;
    }
    reads.push_back({address, length, 0, refused, now + (measures ? latency : below(40))});
  }

  void write_asked() {
    u32 length = top.m_axi_awlen + 1;
    u64 address = top.m_axi_awaddr;
    check_burst(address, length, top.m_axi_awsize, top.m_axi_awburst, write_waits);
    auto [p, area] = find(address, length);
    if (!p->may_use_memory) fail("portal %u writes to area %d after its end", p->number, area);
    if (area == RELEASE_AREA) fail("portal %u writes to its release ring", p->number);
    if (area == ACQUIRE_AREA && write_rose > p->stopped) fail("portal %u writes entries after its stop", p->number);
    if (area == ACQUIRE_AREA && write_rose > unserved) fail("portal %u writes entries while it is not served", p->number);
    if (area == LINE_AREA && length != 4) fail("a status line of %u words", length);
    bool refused = p->refuses[area];
    if (refused) p->refused = address;
    writes.push_back({address, length, {}, refused, false, 0, 0});
  }

  void word_came() {
    early.push_back({top.m_axi_wdata, top.m_axi_wstrb});
    if (top.m_axi_wstrb != 0 && top.m_axi_wstrb != 255) fail("strobes 0x%x", top.m_axi_wstrb);
    if (in_reset && top.m_axi_wstrb && ++words_after_clear > 1) fail("a second word with strobes after a reset");
    if (in_reset && !top.m_axi_wstrb) seen[DROPPED_WORDS]++;
    lasts.push_back(top.m_axi_wlast);
  }
  std::deque<bool> lasts;

  // Words find their addresses.
  void join_words() {
    for (auto& w : writes) {
      while (w.words.size() < w.length && !early.empty()) {
        w.words.push_back(early.front()), early.pop_front();
        if (lasts.front() != (w.words.size() == w.length)) fail("WLAST at word %zu of %u", w.words.size(), w.length);
        lasts.pop_front();
        if (w.words.size() == w.length) {
          w.shows = now + (measures ? latency / 2 : below(30));
          w.due = w.shows + (measures ? latency - latency / 2 : below(20));
        }
      }
      if (w.words.size() < w.length) return;
    }
  }

  // What has come to be seen by the host.
  void show() {
    for (auto& w : writes)
      if (!w.visible && w.words.size() == w.length && now >= w.shows) {
        w.visible = true;
        if (w.refused) refused_write(w);
        else shown(w);
      }
  }

  void shown(const Write& w) {
    if (!w.words[0].second) return; // a reset took it
    auto [p, area] = find(w.address, w.length);
    for (u32 i = 0; i < w.length; i++)
      if (w.words[i].second) memory[w.address + 8 * i] = w.words[i].first;
    if (in_reset) return;
    if (area == ACQUIRE_AREA) entries_shown(*p, w);
    else line_shown(*p);
  }

  void refused_write(const Write& w) {
    auto [p, area] = find(w.address, w.length);
    if (in_reset) return;
    if (area == ACQUIRE_AREA) { seen[ENTRIES_REFUSED]++; return; }
    if (w.words[1].first >> 33 & 1) seen[HALTED_LINE_REFUSED]++, p->may_use_memory = false;
    else seen[LINE_REFUSED]++;
  }

  void entries_shown(Portal& p, const Write& w) {
    for (u32 i = 0; i < w.length; i++, p.written++) {
      u64 entry = w.words[i].first;
      if (w.address + 8 * i != p.acquire_place(p.written)) fail("portal %u: entry %u is at 0x%llx", p.number, p.written, (unsigned long long)(w.address + 8 * i));
      if ((entry & 1) != phase(p.written, p.acquire_log2)) fail("portal %u: entry %u has the wrong phase", p.number, p.written);
      if (entry & 0x3e) fail("portal %u: entry %u has bits 5:1", p.number, p.written);
      move(entry & ~63ull, TAKEN, RING, "an acquire entry");
    }
    if (p.written % p.acquire_entries() == 0) seen[WRAP]++;
    if (p.written - p.announced_taken > p.credits) fail("portal %u: more entries than credits", p.number);
    if (p.written > 2 * p.acquire_entries() && p.freed > 2 * p.release_entries()) seen[THIRD_LAP]++;
  }

  // Status lines (SPEC 6.5): what it says, and that a rule asks for it.
  void line_shown(Portal& p) {
    u64 base = p.bases[LINE_AREA], words[4] = {get(base), get(base + 8), get(base + 16), get(base + 24)};
    Line line{u32(words[0]), u32(words[0] >> 32), u32(words[1]), u32(words[1] >> 32), words[2], words[3]};
    Line last = p.line;
    p.line = line;
    if (line.sequence != last.sequence + 1) fail("portal %u: line %llu follows %llu", p.number, (unsigned long long)line.sequence, (unsigned long long)last.sequence);
    if (line.release_head != p.freed) fail("portal %u: release_head %u, but %u are freed", p.number, line.release_head, p.freed);
    if (line.acquire_tail != p.written) fail("portal %u: acquire_tail %u, but %u are in memory", p.number, line.acquire_tail, p.written);
    if (p.announced_taken - line.acquire_head > p.acquire_entries()) fail("portal %u: acquire_head %u was never announced", p.number, line.acquire_head);
    if (line.flags & ~7u) fail("portal %u: flags 0x%x", p.number, line.flags);
    if (!(line.flags & EMPTY) != (line.available != 0)) fail("portal %u: EMPTY and %llu available", p.number, (unsigned long long)line.available);
    u32 released = line.release_head - last.release_head, acquired = line.acquire_head - last.acquire_head;
    bool ends = line.flags & (HALTED_FLAG | STOPPED);
    bool is_short = line.acquire_tail - line.acquire_head < p.credits && (line.flags & EMPTY);
    if (ends) {
      p.may_use_memory = false;
      seen[line.flags & STOPPED ? LINE_STOP : LINE_HALT]++;
      if ((line.flags & STOPPED) && (line.flags & HALTED_FLAG)) fail("portal %u: stopped and halted", p.number);
    } else if (line.sequence == 1) seen[LINE_C]++;
    else if (released >= p.hysteresis || acquired >= p.hysteresis) seen[LINE_B]++;
    else if (is_short && (released || acquired)) seen[LINE_A]++;
    else fail("portal %u: line %llu by no rule: %u released, %u acquired, flags %u", p.number, (unsigned long long)line.sequence, released, acquired, line.flags);
  }

  // ---- one cycle -----------------------------------------------------------------------------------

    std::array<u64, 32> raised{};

  // VALID stays, and what it carries.
  void check_held(int i, bool valid, bool ready, u64 carried, const char* what) {
    if (holds[i] && (!valid || held[i] != carried)) fail("%s changed while it waited", what);
    holds[i] = valid && !ready, held[i] = carried;
  }

  void cycle() {
    for (u32 pool = 0; pool < POOLS; pool++) top.pool_available[pool] = lists[pool].size();
    top.req_ready = answers.size() < 4 && (measures ? now >= last_request + pace : eagerly());
    top.rsp_valid = !answers.empty() && now >= answers.front().due;
    if (top.rsp_valid) top.rsp_addr = answers.front().address, top.rsp_error = answers.front().error, top.rsp_kind = answers.front().kind;
    top.err_ready = eagerly(), top.raise_ready = eagerly();
    top.m_axi_arready = eagerly(), top.m_axi_awready = eagerly(), top.m_axi_wready = eagerly();
    if (!top.m_axi_rvalid && !reads.empty() && now >= reads.front().due && eagerly()) {
      const Read& read = reads.front();
      top.m_axi_rvalid = 1;
      top.m_axi_rdata = get(read.address + 8 * read.beat);
      top.m_axi_rlast = read.beat + 1 == read.length;
      top.m_axi_rresp = int(read.beat) == read.refused_beat ? 2 + below(2) : 0;
    }
    if (!top.m_axi_bvalid && !writes.empty() && writes.front().visible && now >= writes.front().due && eagerly()) {
      top.m_axi_bvalid = 1;
      top.m_axi_bresp = writes.front().refused ? 2 + below(2) : 0;
    }
    top.eval();

    bool req = top.req_valid && top.req_ready, rsp = top.rsp_valid, r = top.m_axi_rvalid && top.m_axi_rready, b = top.m_axi_bvalid && top.m_axi_bready;
    if (top.aresetn) {
      if (top.m_axi_arvalid && !holds[0]) read_rose = now;
      if (top.m_axi_awvalid && !holds[1]) write_rose = now;
      check_held(0, top.m_axi_arvalid, top.m_axi_arready, top.m_axi_araddr ^ u64(top.m_axi_arlen) << 56, "AR");
      check_held(1, top.m_axi_awvalid, top.m_axi_awready, top.m_axi_awaddr ^ u64(top.m_axi_awlen) << 56, "AW");
      check_held(2, top.m_axi_wvalid, top.m_axi_wready, top.m_axi_wdata ^ u64(top.m_axi_wstrb) << 56 ^ u64(top.m_axi_wlast) << 55, "W");
      if (top.quiesced && (top.m_axi_arvalid || top.m_axi_awvalid || top.m_axi_wvalid || !reads.empty() || !writes.empty())) fail("DMA while quiesced");
      if (top.cleared && in_reset && (!reads.empty() || !writes.empty())) fail("cleared with DMA under way");
      if (top.m_axi_arvalid && top.m_axi_arready) read_asked();
      if (top.m_axi_awvalid && top.m_axi_awready) write_asked();
      if (top.m_axi_wvalid && top.m_axi_wready) word_came();
      join_words();
      show();
    }
    if (req && !top.clear) request();
    if (rsp) answers.pop_front();
    if (top.err_valid && top.err_ready && !top.clear) {
      if (top.err_portal >= PORTALS) fail("an error of portal %u", top.err_portal);
      portals[top.err_portal].errors.push_back({top.err_kind, top.err_source, top.err_pool, top.err_address});
    }
    if (top.raise_valid && top.raise_ready && !top.clear) raised[top.raise_vector]++;

    top.aclk = 1;
    top.eval();
    now++;
    context.timeInc(1);
    if (r) {
      top.m_axi_rvalid = 0;
      if (++reads.front().beat == reads.front().length) reads.pop_front();
    }
    if (b) top.m_axi_bvalid = 0, writes.pop_front();
    top.aclk = 0;
    top.eval();
  }

  void cycles(u32 count) { while (count--) cycle(); }

  bool dma_is_under_way() { return !reads.empty() || !writes.empty() || !early.empty(); }

  template <class F> void wait_for(const char* what, F is_there) {
    for (u64 left = PATIENCE; !is_there(); left--) {
      if (left == 0) fail("%s did not happen", what);
      cycle();
    }
  }

  // ---- registers -------------------------------------------------------------------------------------

  u32 access(bool page, bool is_write, u32 portal, u32 offset, u32 value) {
    top.acc_valid = 1, top.acc_page = page, top.acc_write = is_write, top.acc_portal = portal, top.acc_offset = offset, top.acc_wdata = value;
    u32 data = 0;
    for (u64 left = PATIENCE;; left--) {
      if (left == 0) fail("an access has no answer");
      top.eval();
      bool done = top.acc_done;
      data = top.acc_rdata;
      cycle();
      if (done) break;
    }
    top.acc_valid = 0;
    return data;
  }
  u32 read(u32 portal, u32 offset) { return access(0, false, portal, offset, 0); }
  u64 read64(u32 portal, u32 offset) { u64 low = read(portal, offset); return low | u64(read(portal, offset + 4)) << 32; }
  void write(u32 portal, u32 offset, u32 value) { access(0, true, portal, offset, value); }
  void write64(u32 portal, u32 offset, u64 value) { write(portal, offset, u32(value)), write(portal, offset + 4, u32(value >> 32)); }
  void expect(u32 portal, u32 offset, u32 value, const char* when) {
    u32 is = read(portal, offset);
    if (is != value) fail("portal %u: offset 0x%02x reads 0x%x instead of 0x%x, %s", portal, offset, is, value, when);
  }

  // The errors of a portal are those that it made: the refused frees in their order, and the others in theirs.
  void check_errors(Portal& p, const char* when) {
    for (int left = 3000; left && p.errors.size() < p.expected.size(); left--) cycle(); // one may be on its way
    for (auto* errors : {&p.errors, &p.expected})
      std::stable_partition(errors->begin(), errors->end(), [](const Error& e) { return e.kind < KIND_DISABLED; });
    if (p.errors == p.expected) {
      p.errors.clear(), p.expected.clear();
      return;
    }
    for (auto& e : p.errors) std::printf("  told      kind %u source %u pool %u 0x%llx\n", e.kind, e.source, e.pool, (unsigned long long)e.address);
    for (auto& e : p.expected) std::printf("  expected  kind %u source %u pool %u 0x%llx\n", e.kind, e.source, e.pool, (unsigned long long)e.address);
    fail("portal %u: other errors than expected, %s", p.number, when);
  }

  // ---- the host and its portals ----------------------------------------------------------------------

  void configure(Portal& p) {
    u64 area = 0x40000000ull + 0x100000ull * p.number;
    auto log2 = [&] { return measures ? MAX_LOG2 : chance(40) ? MAX_LOG2 : 3 + below(4); };
    p.pool = measures ? p.number : below(POOLS);
    p.release_log2 = log2(), p.acquire_log2 = log2();
    for (int i = 0; i < 3; i++) p.bases[i] = area + 0x40000 * i + 64 + 64 * below(100);
    p.credits = measures ? 1024 : chance(128) ? p.acquire_entries() : 1 + below(p.acquire_entries());
    p.hysteresis = measures ? 512 : 1 + below(std::min(p.release_entries(), p.acquire_entries()) / 2);
    for (int area_of : {RELEASE_AREA, ACQUIRE_AREA, LINE_AREA})
      for (u64 i = 0; i < p.bytes(area_of); i += 8) memory[p.bases[area_of] + i] = 0;
    write(p.number, POOL, p.pool);
    write(p.number, SIZES, p.release_log2 | p.acquire_log2 << 8);
    write64(p.number, RELEASE_BASE, p.bases[0]);
    write64(p.number, ACQUIRE_BASE, p.bases[1]);
    write64(p.number, STATUS_BASE, p.bases[2]);
    write(p.number, CREDITS, p.credits);
    write(p.number, HYSTERESIS, p.hysteresis);
    if (read64(p.number, ACQUIRE_BASE) != p.bases[1] || read(p.number, CREDITS) != p.credits) fail("portal %u does not keep its configuration", p.number);
  }

  void enable(Portal& p) {
    p.stored = p.announced = p.taken = p.announced_taken = p.freed = p.written = 0;
    p.to_free.clear();
    p.line = {};
    for (bool& refuses : p.refuses) refuses = false;
    p.was_refused = false;
    for (auto& other : portals)
      if (&other != &p && other.may_use_memory && other.pool == p.pool) seen[SHARED]++;
    p.may_use_memory = true, p.stopped = ~0ull;
    write(p.number, CONTROL, 1);
    expect(p.number, CONTROL, 1, "enabled");
  }

  // Takes acquire entries by their phase, at most so many.
  void harvest(Portal& p, u32 most) {
    for (; most && (get(p.acquire_place(p.taken)) & 1) == phase(p.taken, p.acquire_log2) && p.taken - p.announced_taken < p.acquire_entries(); most--) {
      u64 entry = get(p.acquire_place(p.taken));
      if (p.taken == p.written) fail("portal %u: entry %u looks written", p.number, p.taken);
      move(entry & ~63ull, RING, HOST, "the host harvests");
      host[p.pool].push_back(entry & ~63ull);
      p.taken++;
    }
  }

  void store(Portal& p, u64 entry) {
    memory[p.release_place(p.stored)] = entry;
    p.to_free.push_back(entry);
    p.stored++;
  }
  u64 with_phase(Portal& p, u64 address) { return address | phase(p.stored, p.release_log2); }

  // Stores release entries where the last line says that there is room. Some are wrong.
  void release(Portal& p, u32 most) {
    for (; most && p.stored - p.line.release_head < p.release_entries() && !host[p.pool].empty(); most--) {
      if (!measures && chance(4)) { store(p, with_phase(p, 0x7700000000ull + (u64(p.number) << 32 | p.stored) * 64 * 16 + (chance(128) ? 0x400000000400 : 0))); continue; }
      u64 address = take_any(host[p.pool]);
      move(address, HOST, RELEASED, "the host releases");
      store(p, with_phase(p, address));
    }
  }

  void ring(Portal& p) {
    u32 which = below(4);
    if (which != 1) {
      p.announced = p.stored;
      access(1, true, p.number, 0, p.announced);
    } else seen[HIGH_HALF]++;
    if (which != 2) {
      p.announced_taken = p.taken;
      access(1, true, p.number, 4, p.announced_taken);
    } else seen[LOW_HALF]++;
  }

  void check_counts(Portal& p) {
    u32 before = p.freed, head = read(p.number, RELEASE_HEAD);
    if (head - p.line.release_head > p.release_entries() || p.freed - head > p.release_entries() || head > p.freed) fail("portal %u: RELEASE_HEAD %u, but %u are freed", p.number, head, before);
    u32 tail = read(p.number, ACQUIRE_TAIL);
    if (tail > p.written || p.written - tail > 16) fail("portal %u: ACQUIRE_TAIL %u, but %u are in memory", p.number, tail, p.written);
  }

  void act(Portal& p) {
    doing = "act";
    switch (below(7)) {
      case 0: harvest(p, 1 + below(40)); break;
      case 1: release(p, 1 + below(40)); break;
      case 2: ring(p); break;
      case 3: check_counts(p); break;
      case 4: for (u32 n = below(20); n--;) host_takes(p.pool); break;
      case 5: for (u32 n = below(20); n--;) host_frees(p.pool); break;
      default: cycles(below(150));
    }
  }

  bool is_served() { return top.enable && !top.quiesce; }

  // Nothing is to do any more for a portal that runs: rules (a) and (b) have left nothing untold (SPEC 6.5).
  void settle(Portal& p) {
    doing = "settle";
    harvest(p, 100000), release(p, 5);
    p.announced = p.stored, p.announced_taken = p.taken;
    access(1, true, p.number, 0, p.announced), access(1, true, p.number, 4, p.announced_taken);
    u64 began = now;
    wait_for("an end of all work", [&] { return now > std::max({last_dma, last_request, began}) + 1500; });
    expect(p.number, STATUS, RUNNING, "settled");
    expect(p.number, RELEASE_HEAD, p.stored, "settled");
    expect(p.number, ACQUIRE_TAIL, p.written, "settled");
    if (p.freed != p.stored) fail("portal %u: %u of %u are freed", p.number, p.freed, p.stored);
    bool is_short = p.written - p.announced_taken < p.credits;
    if (is_short && !lists[p.pool].empty()) fail("portal %u: %u entries, %u credits, and the list isn't empty", p.number, p.written - p.announced_taken, p.credits);
    if (p.freed - p.line.release_head >= p.hysteresis || p.announced_taken - p.line.acquire_head >= p.hysteresis) fail("portal %u: rule (b) was not kept", p.number);
    if (is_short && (p.line.release_head != p.freed || p.line.acquire_head != p.announced_taken || !(p.line.flags & EMPTY))) fail("portal %u: rule (a) was not kept", p.number);
    check_errors(p, "settled");
  }

  // The portal became disabled: what is in its rings is the host's.
  void end(Portal& p, const char* how) {
    expect(p.number, STATUS, DISABLED, how);
    expect(p.number, CONTROL, 0, how);
    expect(p.number, RELEASE_HEAD, p.freed, how);
    expect(p.number, ACQUIRE_TAIL, p.written, how);
    p.may_use_memory = false;
    harvest(p, 100000);
    if (p.taken != p.written) fail("portal %u: %u of %u entries found, %s", p.number, p.taken, p.written, how);
    for (u64 entry : p.to_free) {
      auto at = ledger.find(entry & ~63ull);
      if (at != ledger.end() && at->second == RELEASED) at->second = HOST, host[p.pool].push_back(entry & ~63ull);
    }
    p.to_free.clear();
    check_errors(p, how);
    u32 bits = read(p.number, ERROR);
    write(p.number, ERROR, bits);
    expect(p.number, ERROR, 0, how);
    expect(p.number, ERROR_ADDRESS, 0, how);
    bool is_alone = std::none_of(portals.begin(), portals.end(), [&](Portal& o) { return o.may_use_memory && o.pool == p.pool; });
    if (!is_alone) return;
    for (auto& [address, where] : ledger)
      if (address / 0x100000000ull == p.pool + 1 && (where == TAKEN || where == RING || where == RELEASED))
        fail("buffer 0x%llx of pool %u is lost at %d, %s", (unsigned long long)address, p.pool, where, how);
  }

  void stop(Portal& p) {
    doing = "stop";
    write(p.number, CONTROL, 0), p.stopped = now;
    // Whoever sees the line finds the registers so, and the other way round.
    if (chance(128)) wait_for("the last line", [&] { return (p.line.flags & (STOPPED | HALTED_FLAG)) != 0; });
    else wait_for("the stop", [&] { return read(p.number, STATUS) != STOPPING; });
    if (read(p.number, STATUS) == STOPPING) fail("portal %u is stopping, behind its last line", p.number);
    if (!(p.line.flags & STOPPED)) fail("portal %u stopped without saying so", p.number);
    if (p.freed != p.announced) fail("portal %u stopped before its last doorbell was acted on", p.number);
    if (p.line.acquire_head != p.announced_taken) fail("portal %u: acquire_head %u in the last line", p.number, p.line.acquire_head);
    end(p, "stopped");
  }

  // The portal halts: which error it is, with which line, and no memory is used any more.
  void halt(Portal& p, Error error, bool has_line) {
    if (has_line && chance(128)) wait_for("the last line", [&] { return (p.line.flags & HALTED_FLAG) != 0; });
    else wait_for("the halt", [&] { return read(p.number, STATUS) == HALTED; });
    // Its registers and the line agree for whoever looks at either.
    expect(p.number, STATUS, HALTED, "behind its last line");
    if (has_line != bool(p.line.flags & HALTED_FLAG)) fail("portal %u halted %s line", p.number, has_line ? "without a" : "with a");
    p.may_use_memory = false;
    u32 bits = read(p.number, ERROR);
    if (!(bits >> error.kind & 1)) fail("portal %u: PORTAL_ERROR 0x%x", p.number, bits);
    if (p.expected.empty() || p.expected.back().kind < 4)
      if (read64(p.number, ERROR_ADDRESS) != error.address) fail("portal %u: PORTAL_ERROR_ADDRESS is not 0x%llx", p.number, (unsigned long long)error.address);
    p.expected.push_back(error);
    wait_for("the error", [&] { return p.errors.size() >= p.expected.size(); });
    access(1, true, p.number, 0, below(100000)); // ignored
    cycles(below(300));
    write(p.number, CONTROL, 0);
    end(p, "halted");
  }

  u64 bell(Portal& p) { return p.announced | u64(p.announced_taken) << 32; }

  void bad_doorbell(Portal& p) {
    doing = "bad_doorbell";
    settle(p);
    if (chance(128)) {
      seen[BAD_RELEASE]++;
      u32 announced = chance(128) ? p.freed + p.release_entries() + 1 + below(3) : p.freed - 1;
      access(1, true, p.number, 0, announced);
      halt(p, {BAD_DOORBELL, RELEASE_RING, p.pool, announced | u64(p.announced_taken) << 32}, true);
    } else {
      seen[BAD_ACQUIRE]++;
      // Entries may come meanwhile: far ahead, or behind.
      u32 taken = chance(128) ? p.announced_taken + p.acquire_entries() + 1 + below(100) : p.announced_taken - 1;
      access(1, true, p.number, 4, taken);
      halt(p, {BAD_DOORBELL, ACQUIRE_SIDE, p.pool, p.announced | u64(taken) << 32}, true);
    }
  }

  void stale_entry(Portal& p) {
    doing = "stale_entry";
    settle(p);
    release(p, below(20));
    if (p.stored - p.line.release_head >= p.release_entries()) return stop(p);
    u64 address = 0x7600000000ull + (u64(p.number) << 20 | p.stored) * 64, entry = with_phase(p, address);
    bool is_phase = chance(128);
    seen[is_phase ? STALE_PHASE : STALE_BITS]++;
    entry ^= is_phase ? 1 : 2ull << below(5);
    u32 wrong = p.stored;
    store(p, entry), release(p, below(20));
    p.announced = p.stored;
    access(1, true, p.number, 0, p.announced);
    halt(p, {STALE_ENTRY, RELEASE_RING, p.pool, entry}, true);
    if (read(p.number, RELEASE_HEAD) != wrong) fail("portal %u: the stale entry was consumed", p.number);
  }

  void refuse(Portal& p, int area) {
    doing = "refuse";
    bool lines_too = chance(64);
    p.refuses[area] = true;
    if (lines_too) p.refuses[LINE_AREA] = true;
    for (u64 left = 4000; left; left--) {
      if (read(p.number, STATUS) == HALTED) break;
      harvest(p, 10), release(p, 3);
      p.announced = p.stored, p.announced_taken = p.taken;
      access(1, true, p.number, 0, p.announced), access(1, true, p.number, 4, p.announced_taken);
      host_frees(p.pool), host_takes(p.pool);
      if (left == 1) { // it had nothing to read or to write
        for (bool& refuses : p.refuses) refuses = false;
        return stop(p);
      }
    }
    p.may_use_memory = false;
    bool was_line = p.refused == p.bases[LINE_AREA] && !p.errors.empty() && p.errors.back().address == p.refused;
    u64 address = p.errors.empty() ? 0 : p.errors.back().address;
    wait_for("the error", [&] { return !p.errors.empty() && p.errors.back().kind == DMA_FAULT; });
    address = p.errors.back().address;
    was_line = address == p.bases[LINE_AREA];
    bool was_read = address >= p.bases[0] && address < p.bases[0] + p.bytes(0);
    if (!was_line && !p.refuses[LINE_AREA] && address != p.refused) fail("portal %u: the refused address is 0x%llx, not 0x%llx", p.number, (unsigned long long)address, (unsigned long long)p.refused);
    if (was_line && area != LINE_AREA && !lines_too) fail("portal %u: the line was not refused", p.number);
    halt(p, {DMA_FAULT, was_read ? RELEASE_RING : ACQUIRE_SIDE, p.pool, address}, !was_line && !p.refuses[LINE_AREA]);
  }

  // ---- what is done to all portals at once -------------------------------------------------------------

  // A stop while portals are not served waits, and its portal refuses doorbells and enables (SPEC 6.1).
  void stop_unserved(Portal& p) {
    write(p.number, CONTROL, 0), p.stopped = now;
    expect(p.number, STATUS, STOPPING, "stopped while not served");
    access(1, true, p.number, 0, 77);
    p.expected.push_back({KIND_DISABLED, RELEASE_RING, p.pool, 77 | u64(p.announced_taken) << 32});
    write(p.number, CONTROL, 1);
    p.expected.push_back({CONFIG, CONFIGURATION, p.pool, 1});
    expect(p.number, CONTROL, 0, "enabled while stopping");
    cycles(300);
    expect(p.number, STATUS, STOPPING, "not served");
    seen[HELD_STOP]++, seen[LATE_DOORBELL]++, seen[LATE_ENABLE]++;
  }

  void pause() {
    doing = "pause";
    bool is_quiesce = chance(128), in_dma = dma_is_under_way();
    if (is_quiesce) top.quiesce = 1;
    else top.enable = 0;
    unserved = now;
    if (in_dma) seen[is_quiesce ? QUIESCED_IN_DMA : DISABLED_IN_DMA]++;
    if (is_quiesce) wait_for("QUIESCED", [&] { return top.quiesced; });
    else cycles(1000);
    u64 last = last_dma;
    Portal& p = portals[below(PORTALS)];
    bool stops = p.may_use_memory && read(p.number, STATUS) == RUNNING;
    if (stops) stop_unserved(p);
    for (auto& other : portals)
      if (&other != &p && other.may_use_memory && read(other.number, STATUS) == RUNNING) harvest(other, 5), release(other, 5), ring(other);
    cycles(below(500));
    if (last_dma != last) fail("DMA while portals are not served");
    for (auto& other : portals)
      for (auto& [address, where] : ledger)
        if (address / 0x100000000ull == other.pool + 1 && where == TAKEN) fail("buffer 0x%llx is nowhere while portals are not served", (unsigned long long)address);
    top.quiesce = 0, top.enable = 1, unserved = ~0ull;
    if (stops) {
      wait_for("the stop after a resume", [&] { return read(p.number, STATUS) != STOPPING; });
      if (!(p.line.flags & STOPPED)) fail("portal %u stopped without saying so", p.number);
      end(p, "stopped by a resume");
    }
  }

  void without_master() {
    doing = "without_master";
    for (auto& p : portals)
      if (p.may_use_memory) harvest(p, 10), release(p, 10), ring(p);
    top.bus_master = 0, read_waits = top.m_axi_arvalid, write_waits = top.m_axi_awvalid;
    for (auto& p : portals)
      if (p.may_use_memory) harvest(p, 10), release(p, 10), ring(p), host_frees(p.pool);
    cycles(2000);
    for (auto& p : portals) {
      if (!p.may_use_memory || read(p.number, STATUS) != HALTED) continue;
      if (p.errors.empty()) fail("portal %u halted without an error", p.number);
      u64 address = p.errors.back().address;
      if (address != p.release_place(p.freed) && address != p.acquire_place(p.written) && address != p.bases[LINE_AREA]) fail("portal %u: no DMA would be at 0x%llx", p.number, (unsigned long long)address);
      bool is_release = address >= p.bases[0] && address < p.bases[0] + p.bytes(0);
      seen[NO_MASTER]++;
      halt(p, {DMA_FAULT, is_release ? RELEASE_RING : ACQUIRE_SIDE, p.pool, address}, false);
    }
    top.bus_master = 1;
  }

  void reset() {
    doing = "reset";
    for (u64 left = chance(200) ? 3000 : 0; left && !dma_is_under_way(); left--) cycle();
    cycles(below(20));
    bool of_bus = chance(64);
    if (!reads.empty()) seen[of_bus ? BUS_RESET : RESET_IN_READ]++;
    if (!writes.empty() && writes.back().words.size() < writes.back().length && !writes.back().words.empty()) seen[of_bus ? BUS_RESET : RESET_IN_WORDS]++;
    // An access that the reset comes upon is answered with nothing.
    top.clear = 1, in_reset = true, words_after_clear = 0;
    read_waits = top.m_axi_arvalid, write_waits = top.m_axi_awvalid;
    if (of_bus) {
      top.aresetn = 0;
      top.m_axi_rvalid = top.m_axi_bvalid = 0;
      reads.clear(), writes.clear(), early.clear(), lasts.clear();
      holds = {};
    }
    top.enable = top.quiesce = 0;
    answers.clear();
    for (u32 n = 1 + below(4); n--;) {
      cycle();
      if (of_bus && (top.m_axi_arvalid || top.m_axi_awvalid || top.m_axi_wvalid)) fail("VALID in a reset of the bus");
    }
    top.aresetn = 1, top.clear = 0;
    wait_for("the end of the reset", [&] { return top.cleared; });
    if (dma_is_under_way()) fail("the reset ended with DMA under way");
    if (top.pool_used) fail("pools are used after a reset");
    in_reset = false;
    for (auto& p : portals) {
      p.may_use_memory = false, p.errors.clear(), p.expected.clear(), p.to_free.clear();
      for (u32 offset = 0; offset < 0x60; offset += 4) expect(p.number, offset, 0, "after a reset");
    }
    deal();
    cycles(200);
    top.enable = 1;
  }

  // ---- directed ------------------------------------------------------------------------------------

  // Each wrong configuration is refused, and a right one isn't (SPEC 6.2).
  void refused_enables(Portal& p) {
    doing = "refused_enables";
    configure(p);
    u64 end = 1ull << 48;
    std::vector<std::pair<u32, u32>> wrong = {{POOL, POOLS}, {POOL, 63}, {SIZES, 2 | 4 << 8}, {SIZES, 4 | 2 << 8}, {SIZES, (MAX_LOG2 + 1) | 4 << 8}, {SIZES, 4 | (MAX_LOG2 + 1) << 8},
      {RELEASE_BASE, u32(p.bases[0]) | 32}, {ACQUIRE_BASE, u32(p.bases[1]) | 8}, {STATUS_BASE, u32(p.bases[2]) | 1}, {RELEASE_BASE + 4, 1 << 16}, {ACQUIRE_BASE + 4, 1 << 31}, {STATUS_BASE + 4, 1 << 16},
      {CREDITS, 0}, {CREDITS, p.acquire_entries() + 1}, {HYSTERESIS, 0}, {HYSTERESIS, std::min(p.release_entries(), p.acquire_entries()) / 2 + 1}};
    auto refused = [&](const char* what) {
      write(p.number, CONTROL, 1);
      p.expected.push_back({CONFIG, CONFIGURATION, read(p.number, POOL), 1});
      expect(p.number, CONTROL, 0, what), expect(p.number, STATUS, DISABLED, what);
      expect(p.number, ERROR, 1 << CONFIG, what);
      if (read64(p.number, ERROR_ADDRESS) != 1) fail("PORTAL_ERROR_ADDRESS of a refused enable");
      write(p.number, ERROR, 1 << CONFIG), expect(p.number, ERROR_ADDRESS, 0, what);
      check_errors(p, what);
      seen[INVALID]++;
    };
    for (auto [offset, value] : wrong) {
      u32 right = read(p.number, offset);
      write(p.number, offset, value);
      refused("with a wrong configuration");
      write(p.number, offset, right);
    }
    for (u32 offset : {RELEASE_BASE, ACQUIRE_BASE, STATUS_BASE}) {
      u64 right = read64(p.number, offset);
      write64(p.number, offset, 0);
      refused("with memory at 0");
      write64(p.number, offset, right);
    }
    u64 base = p.bases[0];
    write64(p.number, RELEASE_BASE, end - p.bytes(0) + 64);
    refused("with memory above WIDTH");
    p.bases[0] = end - p.bytes(0);
    write64(p.number, RELEASE_BASE, p.bases[0]);
    enable(p), stop(p); // memory up to the last byte
    write64(p.number, RELEASE_BASE, base), p.bases[0] = base;
    top.pool_enabled &= ~(1u << p.pool);
    refused("with a disabled pool");
    top.pool_enabled = 15;
    access(1, true, p.number, 4, 5);
    p.expected.push_back({KIND_DISABLED, RELEASE_RING, p.pool, 5ull << 32});
    check_errors(p, "by a doorbell while disabled"), seen[EARLY_DOORBELL]++;
    write(p.number, ERROR, 0x1f0);
  }

  // Locked registers, in use (SPEC 4.7).
  void locked(Portal& p) {
    doing = "locked";
    for (u32 offset = POOL; offset <= HYSTERESIS; offset += 4) {
      u32 is = read(p.number, offset);
      write(p.number, offset, is); // what it is: no error
      write(p.number, offset, is ^ 1);
      u64 all = is ^ 1;
      if (offset >= RELEASE_BASE && offset < CREDITS) all = offset & 4 ? all << 32 | read(p.number, offset - 4) : all | u64(read(p.number, offset + 4)) << 32;
      p.expected.push_back({CONFIG, CONFIGURATION, p.pool, all});
      expect(p.number, offset, is, "locked");
    }
    if (!(top.pool_used >> p.pool & 1)) fail("pool %u is not told as used", p.pool);
    check_errors(p, "by writes of locked registers");
    write(p.number, ERROR, 0x1f0);
    seen[LOCKED]++;
  }

  // AVAILABLE comes when a list that was found empty gives again, and only then (SPEC 6.6, 8).
  void available(Portal& p) {
    doing = "available";
    u32 pool = p.pool;
    settle(p);
    write(p.number, EVENT, 1);
    u32 vector = p.number + 3;
    write(p.number, VECTOR, vector), write(p.number, EVENT_ENABLE, 1);
    u64 before = raised[vector];
    for (int round = 0; round < 3; round++) {
      while (!lists[pool].empty()) host_takes(pool);
      harvest(p, 100000);
      p.announced_taken = p.taken;
      access(1, true, p.number, 4, p.taken);
      wait_for("a ring found short", [&] { return p.line.acquire_head == p.taken && (p.line.flags & EMPTY) && !dma_is_under_way(); });
      expect(p.number, EVENT, 0, "before a buffer came");
      host_frees(pool);
      wait_for("an entry", [&] { return p.written != p.taken; });
      wait_for("its message", [&] { return raised[vector] == before + round + 1; });
      expect(p.number, EVENT, 1, "after a buffer came");
      host_frees(pool);
      cycles(400);
      if (raised[vector] != before + round + 1) fail("portal %u: %llu messages of AVAILABLE", p.number, (unsigned long long)(raised[vector] - before));
      write(p.number, EVENT, 1);
      seen[AVAILABLE]++;
    }
    // A ring that the host takes empty, of a list that has some.
    for (int i = 0; i < 300; i++) host_frees(pool);
    settle(p), write(p.number, EVENT, 1);
    u64 count = raised[vector];
    if (lists[pool].size() > p.credits + 50) {
      settle(p), settle(p);
      if (raised[vector] != count) fail("portal %u: AVAILABLE without an empty list", p.number);
    }
    // By the registers (SPEC 8).
    write(p.number, EVENT, 1), write(p.number, EVENT_SET, 1), expect(p.number, EVENT_SET, 1, "set");
    write(p.number, EVENT_SET, 1), write(p.number, EVENT_ENABLE, 1);
    if (raised[vector] != count + 1) fail("a vector is raised %llu times by EVENT_SET", (unsigned long long)(raised[vector] - count));
    write(p.number, EVENT_ENABLE, 0), write(p.number, EVENT_ENABLE, 1);
    if (raised[vector] != count + 2) fail("a vector is not raised by EVENT_ENABLE");
    write(p.number, EVENT_ENABLE, 0), write(p.number, EVENT, 1);
    // Injected errors don't halt.
    write(p.number, ERROR_SET, 0x1ff);
    for (u32 kind = 4; kind < 9; kind++) p.expected.push_back({kind, INJECTED, pool, 0});
    expect(p.number, ERROR, 0x1f0, "injected"), expect(p.number, STATUS, RUNNING, "injected"), expect(p.number, ERROR_ADDRESS, 0, "injected");
    check_errors(p, "injected");
    write(p.number, ERROR, 0x1f0);
  }

  // A portal that is there alone, for what needs a quiet device.
  void directed() {
    Portal& p = portals[below(PORTALS)];
    if (p.may_use_memory) return;
    bool shared = std::any_of(portals.begin(), portals.end(), [](Portal& o) { return o.may_use_memory; });
    refused_enables(p);
    configure(p), enable(p), locked(p);
    if (!shared) available(p);
    stop(p);
  }

  void end_life(Portal& p) {
    switch (below(8)) {
      case 0: settle(p), stop(p); break;
      case 1: stop(p); break;
      case 2: bad_doorbell(p); break;
      case 3: stale_entry(p); break;
      case 4: refuse(p, RELEASE_AREA); break;
      case 5: refuse(p, ACQUIRE_AREA); break;
      case 6: refuse(p, LINE_AREA); break;
      default: locked(p), stop(p);
    }
  }

  void power_up() {
    for (u32 i = 0; i < PORTALS; i++) portals[i].number = i;
    top.aclk = 0, top.acc_valid = 0, top.m_axi_rvalid = 0, top.m_axi_bvalid = 0;
    top.aresetn = 0, top.clear = 1, top.bus_master = 1, top.enable = 0, top.quiesce = 0, top.pool_enabled = 15;
    top.eval();
    cycles(5);
    top.aresetn = 1, top.clear = 0;
    wait_for("the first reset's end", [&] { return top.cleared; });
    top.enable = 1;
    deal();
  }

  void stop_all() {
    for (auto& p : portals)
      if (p.may_use_memory) stop(p);
  }

  void run() {
    power_up();
    for (int life = 0; life < LIVES; life++) {
      eager = std::array{25u, 128u, 240u, 256u}[below(4)];
      Portal& p = portals[below(PORTALS)];
      if (!p.may_use_memory) configure(p), enable(p);
      for (u32 n = below(250); n--;) {
        Portal& any = portals[below(PORTALS)];
        if (any.may_use_memory) act(any);
      }
      switch (below(12)) {
        case 0: pause(); break;
        case 1: without_master(); break;
        case 2: reset(); break;
        case 3: stop_all(), directed(); break;
        case 4: directed(); break;
        case 5: case 6: case 7: if (portals[p.number].may_use_memory) end_life(p); break;
        default: break;
      }
    }
    stop_all();
  }

  // Cycles a buffer, with memory that answers after `latency` cycles and lists that take a request in `pace` cycles.
  void measure() {
    measures = true;
    power_up();
    Portal& p = portals[0];
    configure(p);
    u64 began = now;
    enable(p);
    wait_for("a full ring", [&] { return p.written == 1024; });
    double acquire = double(now - began) / 1024;
    release(p, 1024);
    p.announced = p.stored;
    began = now;
    access(1, true, 0, 0, p.announced);
    wait_for("a consumed ring", [&] { return p.freed == 1024; });
    double release_ = double(now - began) / 1024;
    wait_for("quiet", [&] { return now > last_dma + 100; });
    harvest(p, 1024), release(p, 1024);
    p.announced = p.stored, p.announced_taken = p.taken;
    began = now;
    access(1, true, 0, 4, p.announced_taken), access(1, true, 0, 0, p.announced);
    wait_for("both rings", [&] { return p.freed == 2048 && p.written == 2048; });
    std::printf("bench: cycles a buffer: acquire %.2f, release %.2f, both at once %.2f for the two (memory answers after %llu cycles, the lists take a request in %llu)\n",
      acquire, release_, double(now - began) / 1024, (unsigned long long)latency, (unsigned long long)pace);
  }
};

}  // namespace

int main(int count, char** words) {
  if (count != 2) return std::fprintf(stderr, "usage: bench SEED\n"), 2;
  seed = std::strtoull(words[1], nullptr, 10);
  {
    Bench bench;
    bench.run();
    u64 lines = 0;
    for (int kind : {LINE_A, LINE_B, LINE_C, LINE_STOP, LINE_HALT}) lines += seen[kind];
    for (int i = 0; i < ALL_SEEN; i++)
      if (!seen[i]) fail("never saw %s", SEEN_NAMES[i]);
    std::printf("bench: seed %llu, %llu cycles, %llu buffers taken, %llu status lines\n", (unsigned long long)seed,
      (unsigned long long)now, (unsigned long long)bench.taken_from_lists, (unsigned long long)lines);
  }
  for (u64 pace : {2, 3}) {
    Bench bench;
    bench.pace = pace;
    bench.measure();
  }
}

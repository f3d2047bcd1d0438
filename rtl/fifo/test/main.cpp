// Random accesses against the rules of SPEC.md: bench SEED WATCH.
//
// Every channel of the port waits and answers by chance, both halves of a write in any order. The rules are applied in the
// order in which accesses arrive at the pins (a write with the first of its halves, and before a read of the same cycle), so
// a read that overtakes a write gives a wrong answer here. axil_check.sv looks at the port's own rules.
#include <array>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>

#include "Vbench.h"
#include "verilated.h"

namespace {

enum Offset : uint32_t {
  IDENTITY = 0x00, VERSION = 0x04, DEPTH = 0x08, SCRATCH = 0x0c, CONTROL = 0x10, STATUS = 0x14, LEVEL = 0x18, ERROR = 0x1c,
  POP = 0x20, PUSH = 0x24, RESET = 0x28, RESET_COUNT = 0x2c, THRESHOLD = 0x30, EVENT = 0x34, EVENT_SET = 0x38,
};
constexpr uint32_t KEY = 0x54455352, VALID = 1u << 31;
// Cycles in which one access has to end, and accesses of a run.
constexpr int PATIENCE = 2000, ROUNDS = 400, ACCESSES = 500;

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
enum Seen { FULL, EMPTY_POP, OVERFLOW, RANGE, DISABLED, DISABLED_POP, MESSAGE, PARTIAL, READ_BEHIND_WRITE, DOUBLE, IN_RESET, FLR, SEEN };
const char* const SEEN_NAMES[SEEN] = {"a full queue", "a pop from an empty queue", "OVERFLOW", "RANGE", "DISABLED", "a pop while disabled",
  "a message", "a write of some bytes", "a read right behind a write", "a number pushed twice", "an access in a reset", "a function level reset"};
std::array<uint64_t, SEEN> seen;

// The device as SPEC.md has it, one access at a time.
struct Model {
  uint32_t depth = 0, scratch = 0, control = 0, error = 0, threshold = 0, event = 0, resets = 0;
  std::deque<uint32_t> queue;
  // The last that happened to a number is a push: the watch tells one more as a double push.
  std::vector<bool> is_in;
  uint64_t messages = 0, doubles = 0;

  void reset() {
    scratch = control = error = threshold = event = 0;
    queue.clear();
    is_in.assign(depth, false);
    resets = (resets + 1) & 0x7fffffff;
  }

  void set_low() {
    if (!event && (control & 2)) messages++;
    event = 1;
  }

  void push(uint32_t number) {
    if (!(control & 1)) { error |= 4, seen[DISABLED]++; return; }
    if (number >= depth) { error |= 2, seen[RANGE]++; return; }
    if (queue.size() == depth) { error |= 1, seen[OVERFLOW]++; return; }
    if (is_in[number]) doubles++, seen[DOUBLE]++;
    is_in[number] = true;
    queue.push_back(number);
    if (queue.size() == depth) seen[FULL]++;
  }

  uint32_t pop() {
    if (!(control & 1)) { seen[DISABLED_POP]++; return 0; }
    if (queue.empty()) { seen[EMPTY_POP]++; return 0; }
    if (queue.size() == threshold) set_low();
    uint32_t number = queue.front();
    queue.pop_front();
    is_in[number] = false;
    return VALID | number;
  }

  void write(uint32_t offset, uint32_t value) {
    switch (offset) {
      case SCRATCH: scratch = value & 0x7fffffff; break;
      case CONTROL:
        if ((value & 2) && !(control & 2) && event) messages++;
        control = value & 3;
        break;
      case ERROR: error &= ~value; break;
      case PUSH: push(value & 0xffffff); break;
      case RESET: if (value == KEY) reset(); break;
      case THRESHOLD: threshold = value & 0x1ffffff; break;
      case EVENT: event &= ~value; break;
      case EVENT_SET: if (value & 1) set_low(); break;
      default: break;
    }
  }

  uint32_t read(uint32_t offset) {
    switch (offset) {
      case IDENTITY: return 0x4f464946;
      case VERSION: return 0x00010000;
      case DEPTH: return depth;
      case SCRATCH: return scratch;
      case CONTROL: return control;
      case STATUS: return 1u | uint32_t(queue.empty()) << 1 | uint32_t(queue.size() == depth) << 2;
      case LEVEL: return queue.size();
      case ERROR: return error;
      case POP: return pop();
      case RESET_COUNT: return resets;
      case THRESHOLD: return threshold;
      case EVENT: case EVENT_SET: return event;
      default: return 0;
    }
  }
};

struct Access {
  bool is_write, has_address, has_data;
  uint32_t offset, value, strobes;
};

struct Bench {
  VerilatedContext context;
  Vbench top{&context};
  std::mt19937_64 random{seed};
  Model model;
  // Accesses at the pins that the model has not made, in their order; answers that R and B owe.
  std::deque<Access> arrived;
  std::deque<std::pair<uint32_t, uint32_t>> expected_reads;
  uint64_t expected_writes = 0, written = 0, messages = 0, doubles = 0;
  // What the master still has to send: each half of a write waits for its own turn.
  std::deque<std::pair<uint32_t, uint32_t>> addresses, data;
  std::deque<uint32_t> reads;
  uint32_t last_read = 0;
  bool watches = false;
  // Out of 256: how eager the master and the slave's listener are.
  uint32_t eager = 128;

  bool chance(uint32_t of_256) { return (random() & 255) < of_256; }
  uint32_t below(uint32_t limit) { return random() % limit; }

  void write(uint32_t offset, uint32_t value, uint32_t strobes = 15) {
    addresses.push_back({offset, 0});
    data.push_back({value, strobes});
  }
  void read(uint32_t offset) { reads.push_back(offset); }

  // The access at the pins that still lacks this half, or a new one.
  Access& half(bool Access::*part) {
    for (auto& access : arrived)
      if (access.is_write && !(access.*part)) return access.*part = true, access;
    arrived.push_back({true, false, false, 0, 0, 0});
    return arrived.back().*part = true, arrived.back();
  }

  // Applies what is complete and has nothing before it.
  void apply() {
    while (!arrived.empty()) {
      Access access = arrived.front();
      if (access.is_write && !(access.has_address && access.has_data)) return;
      arrived.pop_front();
      if (!access.is_write) {
        expected_reads.push_back({access.offset, model.read(access.offset)});
      } else {
        expected_writes++;
        if (access.strobes == 15) model.write(access.offset, access.value);
        else seen[PARTIAL]++;
      }
    }
  }

  // One cycle: the master decides, the pins settle, what was agreed happens, the clock ticks.
  void cycle() {
    auto offer = [&](auto& queue, CData& valid) { valid |= !queue.empty() && chance(eager); };
    offer(addresses, top.awvalid);
    offer(data, top.wvalid);
    offer(reads, top.arvalid);
    if (top.awvalid) top.awaddr = addresses.front().first;
    if (top.wvalid) top.wdata = data.front().first, top.wstrb = data.front().second;
    if (top.arvalid) top.araddr = reads.front();
    top.bready = chance(eager), top.rready = chance(eager), top.irq_ready = 1;
    top.eval();

    bool aw = top.awvalid && top.awready, w = top.wvalid && top.wready, ar = top.arvalid && top.arready;
    bool b = top.bvalid && top.bready, r = top.rvalid && top.rready;
    if (aw) half(&Access::has_address).offset = top.awaddr;
    if (w) {
      Access& access = half(&Access::has_data);
      access.value = top.wdata, access.strobes = top.wstrb;
    }
    if (ar) {
      if (!arrived.empty()) seen[READ_BEHIND_WRITE]++;
      arrived.push_back({false, true, true, top.araddr, 0, 0});
    }
    apply();
    if (b) answered_write();
    if (r) answered_read();
    messages += top.irq_valid, doubles += top.double_push;

    top.aclk = 1;
    top.eval();
    now++;
    context.timeInc(1);
    if (aw) addresses.pop_front(), top.awvalid = 0;
    if (w) data.pop_front(), top.wvalid = 0;
    if (ar) reads.pop_front(), top.arvalid = 0;
    top.aclk = 0;
    top.eval();
  }

  void answered_write() {
    if (written == expected_writes) fail("an answer to no write");
    if (top.bresp) fail("a write was answered %u", top.bresp);
    written++;
  }

  void answered_read() {
    if (expected_reads.empty()) fail("an answer to no read");
    auto [offset, value] = expected_reads.front();
    expected_reads.pop_front();
    last_read = top.rdata;
    if (top.rresp || (!free_reads && top.rdata != value))
      fail("0x%02x reads 0x%08x (answer %u) instead of 0x%08x", offset, top.rdata, top.rresp, value);
  }

  // Goes on until every access has its answer.
  void drain() {
    for (int left = PATIENCE * (1 + int(reads.size() + data.size())); ; left--) {
      if (addresses.empty() && data.empty() && reads.empty() && arrived.empty() && expected_reads.empty() && written == expected_writes) break;
      if (left == 0) fail("an access has no answer");
      cycle();
    }
    // The message and the double push that the last access brought.
    cycle(), cycle();
    if (messages != model.messages) fail("%llu messages instead of %llu", (unsigned long long)messages, (unsigned long long)model.messages);
    if (messages) seen[MESSAGE]++;
  }

  // An access whose answer only this asks for.
  bool free_reads = false;
  uint32_t get(uint32_t offset) {
    free_reads = true;
    read(offset), drain();
    free_reads = false;
    return last_read;
  }

  // SPEC 6: until READY, STATUS works, others read 0 and ignore writes. How many cycles that is, is the device's affair; one
  // that has many marks to clear is quicker asked than done.
  void in_reset(bool is_long) {
    eager = 256;
    uint32_t status = get(STATUS);
    if (status & 4 || !(status & 2)) fail("STATUS 0x%x in a reset", status);
    if (is_long) {
      if (status & 1) fail("READY at once, with %u marks to clear", model.depth);
      Model before = model;
      uint32_t wrong = get(IDENTITY) | get(POP) | get(RESET_COUNT);
      write(SCRATCH, 0x123), write(CONTROL, 3), write(RESET, KEY);
      if (get(STATUS) & 1) fail("READY after a few cycles, with %u marks to clear", model.depth);
      if (wrong) fail("a register reads 0x%x in a reset", wrong);
      model = before;
      seen[IN_RESET]++;
    }
    for (uint32_t left = model.depth + PATIENCE; !(get(STATUS) & 1); left--)
      if (left == 0) fail("STATUS.READY after a reset did not happen");
  }

  bool is_long() { return watches && model.depth > 200; }

  void power_up() {
    top.por_n = 0, top.aresetn = 0, top.flr = 0;
    for (int i = 0; i < 3; i++) cycle();
    top.por_n = 1;
    cycle();
    top.aresetn = 1;
    for (int left = PATIENCE; !(get(STATUS) & 1);)
      if (--left == 0) fail("STATUS.READY after power-up did not happen");
    model.depth = get(DEPTH);
    model.is_in.assign(model.depth, false);
  }

  void function_level_reset() {
    drain();
    top.flr = 1;
    for (uint32_t i = 0, n = 1 + below(5); i < n; i++) cycle();
    top.flr = 0;
    model.reset();
    seen[FLR]++;
  }

  // A word with the numbers that matter to the register, and others.
  uint32_t word(uint32_t offset) {
    switch (offset) {
      case PUSH: return chance(220) ? below(model.depth) : chance(128) ? model.depth + below(3) : uint32_t(random() & 0xffffff);
      case CONTROL: return chance(200) ? 1 | below(4) : below(4);
      case THRESHOLD: return chance(220) ? below(model.depth + 2) : uint32_t(random() & 0x1ffffff);
      case ERROR: case EVENT: case EVENT_SET: return below(8);
      case RESET: return uint32_t(random()) | 1; // the key is even
      default: return uint32_t(random());
    }
  }

  // Pushes, pops and others, of which a bias makes the queue fill or drain.
  void access(uint32_t pushes_of_256) {
    uint32_t kind = below(16);
    if (kind < 12) {
      if (chance(pushes_of_256)) write(PUSH, word(PUSH), chance(250) ? 15 : below(15));
      else read(POP);
    } else {
      uint32_t offset = chance(240) ? 4 * below(15) : below(0x1000);
      if (chance(128)) write(offset, word(offset), chance(240) ? 15 : below(16));
      else read(offset);
    }
    if (chance(64)) read(chance(128) ? LEVEL : ERROR);
  }

  void run() {
    power_up();
    for (int round = 0; round < ROUNDS; round++) {
      eager = std::array{20u, 128u, 240u, 256u}[below(4)];
      uint32_t pushes = std::array{60u, 128u, 200u}[below(3)];
      write(CONTROL, 1 | below(4));
      for (int i = 0; i < ACCESSES; i++) {
        access(pushes);
        for (int left = PATIENCE; reads.size() + data.size() > 4; left--) {
          if (left == 0) fail("the port takes no access");
          cycle();
        }
      }
      drain();
      if (round % 4 == 3) {
        if (chance(128)) function_level_reset();
        else write(RESET, KEY), drain();
        in_reset(is_long());
      }
    }
    if (watches && doubles != model.doubles) fail("%llu double pushes told instead of %llu", (unsigned long long)doubles, (unsigned long long)model.doubles);
    if (!watches && doubles) fail("a double push is told without a watch");
  }
};

}  // namespace

int main(int count, char** words) {
  if (count != 3) return std::fprintf(stderr, "usage: bench SEED WATCH\n"), 2;
  seed = std::strtoull(words[1], nullptr, 10);
  Bench bench;
  bench.watches = words[2][0] == '1';
  bench.run();
  // A queue of one number is full with it, so a second push is refused for that.
  auto is_possible = [&](int what) { return what == IN_RESET ? bench.is_long() : what != DOUBLE || bench.model.depth > 1; };
  for (int i = 0; i < SEEN; i++)
    if (!seen[i] && is_possible(i)) fail("never saw %s", SEEN_NAMES[i]);
  std::printf("bench: seed %llu, %llu cycles, %llu writes, DEPTH %u, %llu resets, %llu messages, %llu numbers pushed twice\n",
    (unsigned long long)seed, (unsigned long long)now, (unsigned long long)bench.written, bench.model.depth,
    (unsigned long long)bench.model.resets, (unsigned long long)bench.messages, (unsigned long long)bench.model.doubles);
}

// An AXI4 master that does what a test programs: up to 16 transactions of any kind, all under way at once, and a log of
// each answer in the order in which they come. It checks nothing: what is no AXI goes out as it was programmed.
//
// Registers of 64 bits; a write of fewer is dropped:
//   0x00000 + 16 n  ADDRESS of transaction n
//   0x00008 + 16 n  WHAT it is: 7:0 LEN   10:8 SIZE   12:11 BURST   13 it writes   14 holes: strobes here and there
//                   15 stray: strobes on all lanes   23:16 ID   47:24 seed of data and holes
//   0x00100         COUNT: 4:0 how many transactions   63:32 seed of pauses, 0: none; forgets the log   reads: 4:0 those
//                   without an answer   26:16 beats that were read   36:32 writes that were answered
//   0x00108         GO: writing starts every engine of the design whose COUNT is not 0
//   0x00200 + 8 n   answer n to a write: 7:0 ID   9:8 RESP
//   0x02000 + 8 n   beat n that was read: 7:0 ID   9:8 RESP   10 LAST
//   0x10000 + 64 n  its data
module traffic_engine #(
    parameter int WIDTH = 64,
    parameter int IDS = 4
) (
    input  logic               clk, rst_n,
    input  logic               go,
    output logic               goes, running,
    // AXI4-Lite, 64 bits
    input  logic [16:3]        s_awaddr, s_araddr,
    input  logic               s_awvalid, s_wvalid, s_bready, s_arvalid, s_rready,
    output logic               s_awready, s_wready, s_bvalid, s_arready, s_rvalid,
    input  logic [63:0]        s_wdata,
    input  logic [7:0]         s_wstrb,
    output logic [63:0]        s_rdata,
    output logic [1:0]         s_bresp, s_rresp,
    // AXI4
    output logic [IDS-1:0]     m_arid, m_awid,
    output logic [63:0]        m_araddr, m_awaddr,
    output logic [7:0]         m_arlen, m_awlen,
    output logic [2:0]         m_arsize, m_awsize,
    output logic [1:0]         m_arburst, m_awburst,
    output logic               m_arvalid, m_awvalid, m_wvalid, m_wlast, m_bready, m_rready,
    input  logic               m_arready, m_awready, m_wready, m_bvalid, m_rvalid, m_rlast,
    output logic [WIDTH-1:0]   m_wdata,
    output logic [WIDTH/8-1:0] m_wstrb,
    input  logic [WIDTH-1:0]   m_rdata,
    input  logic [1:0]         m_rresp, m_bresp,
    input  logic [IDS-1:0]     m_rid, m_bid
);
  localparam int BUS = WIDTH / 8;

  typedef struct packed {
    logic [23:0] seed;
    logic [7:0]  id;
    logic        stray, holes, writes;
    logic [1:0]  burst;
    logic [2:0]  size;
    logic [7:0]  len;
  } what_t;

  logic [63:0] address[16];
  what_t       what[16];
  logic [4:0]  count, left;

  // ---- registers ----
  wire write = s_awvalid && s_wvalid && !s_bvalid;
  wire sets = write && &s_wstrb;
  wire read = s_arvalid && !s_rvalid;
  assign {s_awready, s_wready, s_arready} = {write, write, read};
  assign {s_bresp, s_rresp} = '0;
  assign goes = sets && s_awaddr == 14'h21;

  logic [WIDTH-1:0] data[1024];
  logic [10:0]      beat[1024];
  logic [9:0]       answer[16];
  logic [10:0]      beats;
  logic [4:0]       answers;
  wire [511:0] row = 512'(data[s_araddr[15:6]]);

  always_ff @(posedge clk) begin
    if (sets && s_awaddr[16:8] == 0 && !s_awaddr[3]) address[s_awaddr[7:4]] <= s_wdata;
    if (sets && s_awaddr[16:8] == 0 && s_awaddr[3]) what[s_awaddr[7:4]] <= s_wdata[47:0];
    if (read)
      casez (s_araddr[16:8])
        9'b1_????_????: s_rdata <= row[64*s_araddr[5:3]+:64];
        9'b0_001?_????: s_rdata <= 64'(beat[s_araddr[12:3]]);
        9'b0_0000_0010: s_rdata <= 64'(answer[s_araddr[6:3]]);
        9'b0_0000_0001: s_rdata <= {27'd0, answers, 5'd0, beats, 11'd0, left};
        default: s_rdata <= '0;
      endcase
    s_bvalid <= rst_n && (write || s_bvalid && !s_bready);
    s_rvalid <= rst_n && (read || s_rvalid && !s_rready);
  end

  // ---- pauses: a shift register with feedback, which 0 keeps at 0 ----
  logic [31:0] noise;

  // ---- requests: each side goes through the list, and passes over what is the other's ----
  logic [4:0] ar, aw, w;
  wire what_t ar_what = what[ar[3:0]];
  wire what_t aw_what = what[aw[3:0]];
  wire what_t w_what = what[w[3:0]];
  wire unused = &{ar_what, aw_what, w_what};  // each needs its part
  logic ar_up, aw_up, w_up;
  wire ar_taken = ar_up && m_arready, aw_taken = aw_up && m_awready, w_taken = w_up && m_wready;

  assign {m_araddr, m_arid} = {address[ar[3:0]], ar_what.id[IDS-1:0]};
  assign {m_arburst, m_arsize, m_arlen} = {ar_what.burst, ar_what.size, ar_what.len};
  assign {m_awaddr, m_awid} = {address[aw[3:0]], aw_what.id[IDS-1:0]};
  assign {m_awburst, m_awsize, m_awlen} = {aw_what.burst, aw_what.size, aw_what.len};
  assign {m_arvalid, m_awvalid, m_wvalid} = {ar_up, aw_up, w_up};

  // ---- data of the writes: lanes of each beat, and what is on them ----
  logic [7:0]  number;  // of the beat
  logic [11:0] place;   // its address, as far as lanes and wrapping need it
  wire first = number == 0;
  wire [11:0] here = first ? address[w[3:0]][11:0] : place;
  wire [11:0] size = 12'd1 << w_what.size;
  wire [11:0] top = here | (size - 1);
  wire [11:0] turn = ((12'(w_what.len) + 1) << w_what.size) - 1;
  wire w_last = number == w_what.len;
  assign m_wlast = w_last;

  function automatic logic [7:0] pattern(logic [23:0] seed, logic [7:0] n, logic [7:0] lane);
    pattern = seed[7:0] + n * (seed[15:8] | 8'd1) + lane * (seed[23:16] | 8'd1);
  endfunction

  always_comb
    for (int lane = 0; lane < BUS; lane++) begin
      automatic logic [11:0] at = here & ~12'(BUS - 1) | 12'(lane);
      automatic logic kept = !w_what.holes || pattern({w_what.seed[15:0], w_what.seed[23:16]}, number, 8'(lane)) >= 128;
      m_wdata[8*lane+:8] = pattern(w_what.seed, number, 8'(lane));
      m_wstrb[lane] = w_what.stray || at >= here && at <= top && kept;
    end

  // ---- answers ----
  assign m_rready = running && !noise[2];
  assign m_bready = running && !noise[17];
  wire r_taken = m_rvalid && m_rready, b_taken = m_bvalid && m_bready;

  always_ff @(posedge clk) begin
    noise <= {noise[30:0], noise[31] ^ noise[21] ^ noise[1] ^ noise[0]};
    if (sets && s_awaddr == 14'h20) {noise, count, beats, answers} <= {s_wdata[63:32], s_wdata[4:0], 16'd0};

    if (!ar_up && running && ar != count && (ar_what.writes || !noise[5])) {ar_up, ar} <= {!ar_what.writes, ar + 5'(ar_what.writes)};
    if (!aw_up && running && aw != count && (!aw_what.writes || !noise[8])) {aw_up, aw} <= {aw_what.writes, aw + 5'(!aw_what.writes)};
    if (!w_up && running && w != count && (!w_what.writes || !noise[11])) {w_up, w} <= {w_what.writes, w + 5'(!w_what.writes)};
    if (ar_taken) {ar_up, ar} <= {1'b0, ar + 5'd1};
    if (aw_taken) {aw_up, aw} <= {1'b0, aw + 5'd1};
    if (w_taken) begin
      {w_up, w} <= {!w_last && !noise[14], w + 5'(w_last)};
      number <= w_last ? 0 : number + 1;
      case (w_what.burst)
        0: place <= here;
        2: place <= here & ~turn | (top + 1) & turn;
        default: place <= top + 1;
      endcase
    end

    if (r_taken) begin
      data[beats[9:0]] <= m_rdata;
      beat[beats[9:0]] <= {m_rlast, m_rresp, 8'(m_rid)};
      beats <= beats + 1;
    end
    if (b_taken) begin
      answer[answers[3:0]] <= {m_bresp, 8'(m_bid)};
      answers <= answers + 1;
    end
    left <= left - 5'(r_taken && m_rlast) - 5'(b_taken);
    if (running && left == 0) {running, count} <= '0;

    if (go && count != 0) begin
      {running, left} <= {1'b1, count};
      {ar, aw, w, number} <= '0;
    end
    if (!rst_n) {running, left, count, noise, ar_up, aw_up, w_up, ar, aw, w, number, place, beats, answers} <= '0;
  end

  always_ff @(posedge clk)
    assert (!rst_n || left <= 16) else $error("more answers than transactions, or more than 16 of these");
endmodule

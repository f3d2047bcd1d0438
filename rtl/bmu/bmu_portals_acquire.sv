// The acquire side of one visit: takes buffers from the list and writes them as entries (SPEC 6.3, 6.4, 6.7).
//
// The list gives while a burst is on the bus. A burst begins when as many buffers are there as fit into it, or no more come.
// What was taken and is not written goes back into the list: after a burst that was refused, and when `go` has ended.
module bmu_portals_acquire (
    input  logic        aclk,
    input  logic        clear,

    input  logic        start,
    input  logic        go,            // bursts may begin, and buffers be taken
    input  logic [63:0] base,
    input  logic [4:0]  log2,
    input  logic [31:0] tail,          // entries that are written
    input  logic [6:0]  room,          // so many more may be
    output logic [4:0]  written,       // so many more are, from this cycle on
    output logic        finished,
    output logic        dry,           // with `finished`: the list was found empty,
    output logic        aborted,       // `go` ended,
    output logic        refused,       // or a burst was refused
    output logic [63:0] fault_address, // the IOVA of that

    output logic        write_start,
    output logic [63:0] write_address,
    output logic [4:0]  write_length,
    input  logic        write_idle,
    input  logic        write_take,
    output logic [63:0] write_word,
    input  logic        write_done,
    input  logic        write_failed,

    output logic        req_valid,
    input  logic        req_ready,
    output logic        req_back,      // give back, else take
    output logic [63:0] req_addr,
    input  logic        rsp_valid,
    input  logic [63:0] rsp_addr
);
    logic        active;
    logic        held;              // a request that nobody has taken yet
    logic        returns;           // buffers go back
    logic [6:0]  left;              // to be asked for
    logic [2:0]  at_list;           // requests without an answer
    logic [4:0]  length;            // of the burst under way, or of the next one
    logic [5:0]  taken, sent, kept; // places of the buffer: the next one's, the next word's, the oldest one's
    logic [63:0] word, oldest;
    logic [4:0]  longest;
    logic        phase, settled;
    logic        has_space;         // in the buffer, for one more request
    logic        may_write;         // decided a cycle before: a burst of `length` begins

    wire [5:0] stored = taken - kept;
    wire       gets   = rsp_valid & ~returns & rsp_addr != 64'd0;
    wire       asks   = active & go & ~aborted & ~refused & ~dry & left != 7'd0
        & at_list < 3'd4 & has_space;
    wire       backs  = returns & stored != 6'd0 & at_list < 3'd4;
    wire       fires  = req_valid & req_ready;
    wire       quiet  = at_list == 3'd0 & ~req_valid; // at the list
    wire       ends   = aborted | refused;

    bmu_portals_rows #(.ROWS(32), .BITS(64)) buffer (
        .aclk, .write(gets), .write_row({1'b0, taken[4:0]}), .write_bits(rsp_addr),
        .a_row({1'b0, sent[4:0]}), .a_bits(word), .b_row({1'b0, kept[4:0]}), .b_bits(oldest)
    );

    wire moves = start | written != 5'd0;
    bmu_portals_burst burst (.aclk, .moves, .base, .log2, .entry(tail), .settled, .address(write_address), .longest, .phase);

    assign req_valid = asks | backs | held;
    assign req_back  = returns;
    assign req_addr  = oldest;

    assign write_start  = may_write & go & ~ends;
    assign write_length = length;
    assign write_word   = {word[63:6], 5'd0, phase};

    assign written       = write_done & active & ~write_failed ? length : 5'd0;
    assign fault_address = write_address;

    wire no_more = dry | left == 7'd0;
    wire rests   = active & ~clear & ~start & ~finished & write_idle & ~write_start;
    always_ff @(posedge aclk) begin
        // The sum grows by a request only, and one may begin in this cycle.
        has_space <= stored + {3'd0, at_list} < 6'd31;
        may_write <= rests & go & ~ends & settled & stored != 6'd0 & (stored >= {1'b0, longest} | (quiet & no_more));
        finished  <= rests & quiet & stored == 6'd0 & (ends | no_more);
        if (write_idle & ~write_start) length <= stored < {1'b0, longest} ? stored[4:0] : longest;
    end

    always_ff @(posedge aclk) begin
        if (clear | start | finished) begin
            active  <= start & ~clear;
            held    <= 1'b0;
            returns <= 1'b0;
            dry     <= 1'b0;
            aborted <= 1'b0;
            refused <= 1'b0;
            left    <= room;
            at_list <= 3'd0;
            taken   <= 6'd0;
            kept    <= 6'd0;
        end else begin
            held <= req_valid & ~req_ready;
            if (active & ~go) aborted <= 1'b1;
            if (active & ends & write_idle & quiet) returns <= 1'b1;
            if (fires & ~returns) left <= left - 7'd1;
            at_list <= at_list + {2'd0, fires} - {2'd0, rsp_valid};
            if (gets) taken <= taken + 6'd1;
            if (rsp_valid & ~returns & ~gets) dry <= 1'b1;
            if (write_done & active & write_failed) refused <= 1'b1;
            if (fires & returns) kept <= kept + 6'd1;
            else kept <= kept + {1'b0, written};
        end
    end

    always_ff @(posedge aclk) begin
        if (write_start) sent <= kept;
        else if (write_take) sent <= sent + 6'd1;
    end

    wire unused = &{word[5:0]};
endmodule

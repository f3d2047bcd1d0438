// The release side of one visit: reads entries that a doorbell announced, and frees them in their order (SPEC 6.3, 6.4, 6.7).
//
// A burst is looked at only when all of it has come, since nothing of a read that was refused is consumed. The next one is
// read meanwhile. Up to four frees are at the list at the same time; an entry is consumed when its check (SPEC 4.4) has ended.
module bmu_portals_release (
    input  logic        aclk,
    input  logic        clear,

    input  logic        start,
    input  logic        go,            // reads may begin; what was read is freed without it, too
    input  logic [63:0] base,
    input  logic [4:0]  log2,
    input  logic [31:0] head,          // entries that are consumed
    input  logic [31:0] target,        // as many are to be: 64 more at the most
    output logic        consumed,      // one more is
    output logic        finished,
    output logic        stale,         // with `finished`: the next entry is wrong,
    output logic        refused,       // or it could not be read
    output logic [63:0] fault_address, // the entry, or the IOVA

    output logic        error_valid,   // a free was refused; SPEC 4.4 has the kinds
    input  logic        error_ready,
    output logic [3:0]  error_kind,
    output logic [63:0] error_address,

    output logic        read_start,
    output logic [63:0] read_address,
    output logic [4:0]  read_length,
    input  logic        read_idle,
    input  logic        read_word_valid,
    input  logic [63:0] read_word,
    input  logic        read_done,
    input  logic        read_failed,

    output logic        req_valid,
    input  logic        req_ready,
    output logic [63:0] req_addr,
    input  logic        rsp_valid,
    input  logic        rsp_error,
    input  logic [3:0]  rsp_kind
);
    logic        active;
    logic [31:0] asked;         // number of the first entry that isn't read
    logic [4:0]  length;        // of the burst under way, or of the next one
    // Places of the buffer up to which words came, bursts are whole, frees began, were answered and are done.
    logic [5:0]  came, whole, begun, answered, done;
    logic [4:0]  answers [4];   // of the list: refused, and why
    logic [63:0] entry, oldest;
    logic [63:0] next_address;
    logic [4:0]  longest;
    logic        phase, wrong, settled;
    // Decided a cycle before: entries of the doorbell are left, of the settled burst, and it may begin.
    logic [6:0]  left;
    logic        has_left, aimed, may_read;
    /* verilator lint_off UNUSEDSIGNAL */
    logic        oldest_wrong;
    /* verilator lint_on UNUSEDSIGNAL */

    wire [5:0]  stored  = came - done;
    wire [5:0]  at_list = begun - done;
    wire        waits   = begun != whole;
    wire [4:0]  answer  = answers[done[1:0]];
    wire        moves   = start | (read_done & ~read_failed);

    // Beside each word stands whether it is none of its lap.
    bmu_portals_rows #(.ROWS(32), .BITS(65)) buffer (
        .aclk, .write(read_word_valid & active), .write_row({1'b0, came[4:0]}),
        .write_bits({read_word[5:1] != 5'd0 | read_word[0] != phase, read_word}),
        .a_row({1'b0, begun[4:0]}), .a_bits({wrong, entry}), .b_row({1'b0, done[4:0]}), .b_bits({oldest_wrong, oldest})
    );

    bmu_portals_burst burst (.aclk, .moves, .base, .log2, .entry(asked), .settled, .address(next_address), .longest, .phase);

    assign read_start   = may_read & go & ~stale & ~finished;
    assign read_address = next_address;
    assign read_length  = length;

    assign req_valid = active & waits & ~wrong & ~stale & at_list < 6'd4;
    assign req_addr  = {entry[63:6], 6'd0};

    assign error_valid   = active & done != answered & answer[4];
    assign error_kind    = answer[3:0];
    assign error_address = {oldest[63:6], 6'd0};
    assign consumed      = active & done != answered & (~answer[4] | error_ready);

    always_ff @(posedge aclk) begin
        left     <= target[6:0] - asked[6:0];
        has_left <= left != 7'd0;
        aimed    <= settled & ~moves;
        if (settled & read_idle & ~read_start) length <= left < {2'd0, longest} ? left[4:0] : longest;
        may_read <= active & ~clear & ~start & ~finished & read_idle & ~read_start & aimed & ~stale & ~refused & has_left & stored <= 6'd16;
        finished <= active & ~clear & ~start & ~finished & read_idle & ~read_start & begun == done
            & (stale | (~waits & (refused | (aimed & ~has_left) | ~go)));
        fault_address <= stale ? entry : next_address;
    end

    always_ff @(posedge aclk) begin
        if (clear | start | finished) begin
            active   <= start & ~clear;
            stale    <= 1'b0;
            refused  <= 1'b0;
            came     <= 6'd0;
            whole    <= 6'd0;
            begun    <= 6'd0;
            answered <= 6'd0;
            done     <= 6'd0;
        end else begin
            if (read_done & active) begin
                if (read_failed) refused <= 1'b1;
                else whole <= came + 6'd1;
            end
            if (read_done & read_failed) came <= whole;
            else if (read_word_valid) came <= came + 6'd1;
            if (active & waits & wrong) stale <= 1'b1;
            if (req_valid & req_ready) begun <= begun + 6'd1;
            if (rsp_valid) answered <= answered + 6'd1;
            if (consumed) done <= done + 6'd1;
        end
    end

    always_ff @(posedge aclk) begin
        if (start) asked <= head;
        else if (read_done & ~read_failed) asked <= asked + {27'd0, length};
    end

    always_ff @(posedge aclk) if (rsp_valid) answers[answered[1:0]] <= {rsp_error, rsp_kind};

`ifdef FORMAL // a memory that a proof can look into
    logic [19:0] seen_answers;
    always_comb for (int i = 0; i < 4; i++) seen_answers[i*5 +: 5] = answers[i];
`endif

    wire unused = &{oldest[5:0], target[31:7]};
endmodule

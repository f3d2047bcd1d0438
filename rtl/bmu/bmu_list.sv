// The lists of all pools: which buffers each holds (SPEC 4.8, 5, 5.3).
//
// Numbers lie on a stack for each pool, whose height is POOL_AVAILABLE; beside it is a bit for each number, "is in the list".
// A look takes from step 0, in which both memories are read, to step 2, in which what was read is there and something may be
// pushed or popped. A list that is forgotten has height 0 at once; its bits are cleared one by one, in cycles in which nobody
// may need the memory, and meanwhile the pool is busy. A reset does so with all pools.
module bmu_list #(
    parameter int unsigned POOLS = 4,
    parameter int unsigned BUFFERS = 1024,
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1,
    localparam int unsigned INDEX_BITS = $clog2(BUFFERS),
    localparam int unsigned COUNT_BITS = INDEX_BITS + 1
) (
    input  logic                        aclk,
    input  logic                        clear,
    input  logic [POOL_BITS-1:0]        pool,
    input  logic [INDEX_BITS-1:0]       index,   // the number that is looked for
    input  logic                        look,    // step 0
    input  logic                        gives,   // the operation takes the top; else it brings `index`
    input  logic                        spare,   // not step 0, and nothing is pushed or popped
    output logic                        is_in,   // from step 2 on: that number is in the list
    output logic [INDEX_BITS-1:0]       top,     // the number that a pop gives
    output logic [COUNT_BITS-1:0]       count,      // from step 1 on: of numbers in the list,
    output logic [COUNT_BITS-1:0]       count_more, // and with one more
    input  logic                        push,    // step 2; never of a number that is in
    input  logic                        pop,     // step 2; never of an empty list
    input  logic                        forget,  // step 2; the list is empty from now on

    output logic [POOLS*COUNT_BITS-1:0] counts,
    output logic [POOLS-1:0]            busy,
    output logic                        wiping,     // a reset: all that is kept of `wipe_pool` is to be cleared
    output logic [POOL_BITS-1:0]        wipe_pool,
    output logic                        cleared
);
    localparam int unsigned PLACES = POOLS * BUFFERS;
    localparam int unsigned PLACE_BITS = $clog2(PLACES);

    function automatic logic [POOL_BITS-1:0] lowest(input logic [POOLS-1:0] pools);
        lowest = '0;
        for (int i = POOLS - 1; i >= 0; i--) if (pools[i]) lowest = POOL_BITS'(i);
    endfunction

    logic                  bits [PLACES];
    logic [INDEX_BITS-1:0] numbers [PLACES];
    logic                  read_bit;
    logic [INDEX_BITS-1:0] read_number;
    logic                  sweeping;
    logic [INDEX_BITS-1:0] sweep_at;

    logic [COUNT_BITS-1:0] count_now;
    always_comb begin
        count_now = '0;
        for (int i = 0; i < POOLS; i++)
            count_now = count_now | ({COUNT_BITS{pool == POOL_BITS'(i)}} & counts[i*COUNT_BITS +: COUNT_BITS]);
    end
    always_ff @(posedge aclk) {count, count_more} <= {count_now, count_now + 1'b1};
    wire [INDEX_BITS-1:0] height = count[INDEX_BITS-1:0];
    wire [INDEX_BITS-1:0] last   = count_now[INDEX_BITS-1:0] - 1'b1;

    // ---- the memories --------------------------------------------------------------------------------------------------
    // None is read and written in one cycle, so that nobody needs to know what is read then.
    wire marks  = push | pop;
    wire sweeps = sweeping & spare;
    wire [PLACE_BITS-1:0] looked  = PLACE_BITS'({pool, index});
    wire [PLACE_BITS-1:0] topmost = PLACE_BITS'({pool, last});
    wire [PLACE_BITS-1:0] next    = PLACE_BITS'({pool, height});
    wire [PLACE_BITS-1:0] marked  =
        sweeps ? PLACE_BITS'({wipe_pool, sweep_at}) : PLACE_BITS'({pool, gives ? top : index});

    always_ff @(posedge aclk) if (look) read_bit <= bits[looked];
    always_ff @(posedge aclk) if (look) read_number <= numbers[topmost];
    always_ff @(posedge aclk) if (sweeps | marks) bits[marked] <= ~sweeps & ~gives;
    always_ff @(posedge aclk) if (push) numbers[next] <= index;
    // Block memory is slow to answer, so a register follows it.
    always_ff @(posedge aclk) {is_in, top} <= {read_bit, read_number};

    // ---- heights -------------------------------------------------------------------------------------------------------
    always_ff @(posedge aclk) begin
        for (int i = 0; i < POOLS; i++) begin
            if (clear) counts[i*COUNT_BITS +: COUNT_BITS] <= '0;
            else if (pool == POOL_BITS'(i)) begin
                if (forget) counts[i*COUNT_BITS +: COUNT_BITS] <= '0;
                else if (push) counts[i*COUNT_BITS +: COUNT_BITS] <= count_more;
                else if (pop) counts[i*COUNT_BITS +: COUNT_BITS] <= count - 1'b1;
            end
        end
    end

    // ---- the sweep -----------------------------------------------------------------------------------------------------
    assign cleared = ~|busy;
    wire sweep_ends = sweeps & &sweep_at;

    always_ff @(posedge aclk) begin
        if (clear) begin
            busy     <= '1;
            wiping   <= 1'b1;
            sweeping <= 1'b0;
        end else begin
            if (cleared) wiping <= 1'b0;
            sweeping <= sweeping ? ~sweep_ends : ~cleared;
            for (int i = 0; i < POOLS; i++) begin
                if (forget & pool == POOL_BITS'(i)) busy[i] <= 1'b1;
                else if (sweep_ends & wipe_pool == POOL_BITS'(i)) busy[i] <= 1'b0;
            end
        end
    end
    always_ff @(posedge aclk) begin
        if (~sweeping) begin
            wipe_pool <= lowest(busy);
            sweep_at  <= '0;
        end else if (sweeps) sweep_at <= sweep_at + 1'b1;
    end

`ifdef FORMAL // memories that a proof can look into
    logic [PLACES-1:0]            seen_bits;
    logic [PLACES*INDEX_BITS-1:0] seen_numbers;
    always_comb begin
        for (int i = 0; i < PLACES; i++) begin
            seen_bits[i] = bits[i];
            seen_numbers[i*INDEX_BITS +: INDEX_BITS] = numbers[i];
        end
    end
`endif
endmodule

// What is proved of the pools, whatever their two clients ask: README.md has it in words. Read by yosys alone.
//
// `hierconn` joins a wire of that name inside of the device. `here` is the ledger of a bystander: it knows what was taken in and
// handed out, and not how the device keeps its lists. What only carries the induction is marked so.
module bmu_pools_proof #(
    parameter int unsigned POOLS = 1,
    parameter int unsigned BUFFERS = 4,
    localparam int unsigned WIDTH = 32,
    localparam int unsigned KEPT = WIDTH + 1,
    localparam int unsigned POOL_BITS = POOLS > 1 ? $clog2(POOLS) : 1,
    localparam int unsigned INDEX_BITS = $clog2(BUFFERS),
    localparam int unsigned COUNT_BITS = INDEX_BITS + 1,
    localparam int unsigned PLACES = POOLS * BUFFERS
) (
    input logic             aclk, clear, enable, own_valid, req_valid, err_ready, raise_ready,
    input logic [2:0]       own_op,
    input logic [5:0]       own_pool, req_pool,
    input logic [7:0]       own_offset,
    input logic [63:0]      own_value, req_addr,
    input logic [1:0]       req_op,
    input logic [POOLS-1:0] pool_used
);
    logic                own_done, req_ready, rsp_valid, rsp_error, cleared, err_valid, raise_valid;
    logic [63:0]         own_answer, rsp_addr;
    logic [3:0]          rsp_kind;
    logic [POOLS-1:0]    pool_enabled;
    logic [POOLS*32-1:0] pool_available;

    bmu_pools #(.POOLS(POOLS), .BUFFERS(BUFFERS), .WIDTH(WIDTH)) pools (
        .aclk, .clear, .enable, .cleared,
        .own_valid, .own_op, .own_pool, .own_offset, .own_value, .own_done, .own_answer,
        .req_valid, .req_ready, .req_op, .req_pool, .req_addr, .rsp_valid, .rsp_addr, .rsp_error, .rsp_kind,
        .pool_enabled, .pool_available, .pool_used, .err_valid, .err_ready, .raise_valid, .raise_ready
    );

    // Inside of the device.
    (* hierconn *) logic [1:0]                   \pools.step ;
    (* hierconn *) logic                         \pools.acts , \pools.push , \pools.pop , \pools.forget , \pools.late_valid ;
    (* hierconn *) logic                         \pools.late_own , \pools.late_outside , \pools.late_rest , \pools.own_taken ;
    (* hierconn *) logic                         \pools.early_valid , \pools.early_own , \pools.refused , \pools.acted ;
    (* hierconn *) logic                         \pools.shifted , \pools.gives , \pools.shifted_gives , \pools.acted_own ;
    (* hierconn *) logic                         \pools.shifted_own , \pools.own_answered ;
    (* hierconn *) logic [2:0]                   \pools.late_op , \pools.kind ;
    (* hierconn *) logic [POOL_BITS-1:0]         \pools.late_pool , \pools.early_pool , \pools.wipe_pool ;
    (* hierconn *) logic [INDEX_BITS:0]          \pools.late_number ;
    (* hierconn *) logic [4:0]                   \pools.late_shift , \pools.popped_shift ;
    (* hierconn *) logic [KEPT-1:0]              \pools.base , \pools.popped_base , \pools.above , \pools.shifted_base ;
    (* hierconn *) logic [INDEX_BITS-1:0]        \pools.top , \pools.popped ;
    (* hierconn *) logic [COUNT_BITS-1:0]        \pools.count , \pools.count_more ;
    (* hierconn *) logic [POOLS*COUNT_BITS-1:0]  \pools.counts ;
    (* hierconn *) logic [POOLS-1:0]             \pools.busy ;
    (* hierconn *) logic                         \pools.is_in , \pools.is_enabled , \pools.aligns , \pools.is_full ;
    (* hierconn *) logic                         \pools.list.sweeping , \pools.list.read_bit , \pools.list.wiping ;
    (* hierconn *) logic [INDEX_BITS-1:0]        \pools.list.read_number , \pools.list.sweep_at ;
    (* hierconn *) logic [PLACES-1:0]            \pools.list.seen_bits ;
    (* hierconn *) logic [PLACES*INDEX_BITS-1:0] \pools.list.seen_numbers ;
    (* hierconn *) logic [31:0]                  \pools.regs.capacity ;
    (* hierconn *) logic                         \pools.regs.acted , \pools.frees , \pools.returns , \pools.takes , \pools.is_known ;
    (* hierconn *) logic [2:0]                   \pools.known ;
    (* hierconn *) logic                         \pools.regs.enables , \pools.regs.forgets , \pools.regs.may_enable ;
    (* hierconn *) logic [7:0]                   \pools.regs.keeps ;

    // A reset comes first, and the register side keeps to its protocol.
    logic started = 1'b0, held = 1'b0;
    logic [80:0] held_is;
    always_ff @(posedge aclk) begin
        started <= 1'b1;
        held    <= own_valid & ~own_done & ~clear;
        held_is <= {own_op, own_pool, own_offset, own_value};
    end
    always_comb begin
        if (!started) reset_first: assume (clear);
        if (held) own_stays: assume (own_valid & held_is == {own_op, own_pool, own_offset, own_value});
        own_is_one: assume (own_pool < POOLS & own_op <= 4 & own_op != 2);
        req_is_one: assume (req_pool < POOLS & req_op <= 2);
        // Until READY nobody asks.
        if (\pools.list.wiping ) quiet_in_reset: assume (~own_valid & ~req_valid);
    end

    // ---- the ledger ----------------------------------------------------------------------------------------------------
    logic [PLACES-1:0] here = '0;
    wire  [2:0]        op    = \pools.late_op ;
    wire               acts  = \pools.acts & ~clear;
    wire  [BUFFERS-1:0] mine = here[\pools.late_pool * BUFFERS +: BUFFERS];
    wire  [INDEX_BITS-1:0] number = \pools.late_number [INDEX_BITS-1:0];
    wire               number_is_here = mine[number];
    // A portal asks while it is served, and what it asked for then is done (SPEC 4.3).
    // Step 1 looks at CONTROL.ENABLE, which no write changes while an operation of the register side is there.
    logic              enabled;
    always_ff @(posedge aclk) enabled <= enable;
    wire               works = (enabled | ~\pools.late_own ) & \pools.is_enabled ;
    wire               comes = acts & (op == 1 | op == 2) & \pools.push ;
    wire               goes  = acts & op == 0 & \pools.pop ;
    wire               ends  = acts & op == 4 & \pools.forget ;

    function automatic logic [COUNT_BITS-1:0] ones(input logic [BUFFERS-1:0] bits);
        ones = '0;
        for (int i = 0; i < BUFFERS; i++) ones = ones + COUNT_BITS'(bits[i]);
    endfunction

    always_ff @(posedge aclk) begin
        for (int p = 0; p < POOLS; p++) begin
            for (int i = 0; i < BUFFERS; i++) begin
                if (clear) here[p*BUFFERS+i] <= 1'b0;
                else if (\pools.late_pool == p) begin
                    if (ends) here[p*BUFFERS+i] <= 1'b0;
                    else if (comes & number == i) here[p*BUFFERS+i] <= 1'b1;
                    else if (goes & \pools.top == i) here[p*BUFFERS+i] <= 1'b0;
                end
            end
        end
    end

    wire decides = \pools.step == 2 & \pools.late_valid ;
    wire passes = works & ~\pools.late_outside & (~\pools.late_rest | \pools.aligns );
    always_ff @(posedge aclk) if (started & ~clear) begin
        once:             assert (~comes | ~number_is_here);
        none_invented:    assert (~goes | mine[\pools.top ]);
        none_lost:        assert (~(acts & op == 0 & works & |mine) | \pools.pop );
        none_when_off:    assert (~(goes | (comes & op == 1)) | works);
        counted:          assert (\pools.step == 0 | \pools.count == ones(mine) | ~\pools.is_enabled );
        empty_when_off:   assert (~acts | \pools.is_enabled | ~|mine);
        double_is_told:   assert (~(acts & op == 1 & passes & number_is_here) | (\pools.refused & \pools.kind == 2));
        overflow_is_told: assert (~(acts & op == 1 & passes & ~number_is_here & 32'(ones(mine)) >= \pools.regs.capacity )
                                  | (\pools.refused & \pools.kind == 3));
        free_is_taken:    assert (~(acts & op == 1 & passes & ~number_is_here & 32'(ones(mine)) < \pools.regs.capacity )
                                  | \pools.push );
        nothing_else:     assert (~(acts & op > 2) | (~\pools.push & ~\pools.pop ));
        in_last_step:     assert (~(\pools.push | \pools.pop | \pools.forget ) | \pools.step == 2);
    end

    // ---- the answers ---------------------------------------------------------------------------------------------------
    // Each operation has one, of its client, three cycles after it acted; an allocation's is the buffer's address.
    logic            acted = 1'b0, acted_twice = 1'b0, due = 1'b0, own, own_twice, own_due, gave, gave_twice, gave_due;
    logic [KEPT-1:0] address, address_twice, address_due;
    wire  [KEPT-1:0] way = KEPT'({\pools.top , 6'd0}) << \pools.late_shift ;
    always_ff @(posedge aclk) begin
        acted       <= acts;
        acted_twice <= acted & ~clear;
        due         <= acted_twice & ~clear;
        {own, own_twice, own_due} <= {\pools.late_own , own, own_twice};
        {gave, gave_twice, gave_due} <= {goes, gave, gave_twice};
        {address, address_twice, address_due} <= {\pools.base + way, address, address_twice};
    end
    always_ff @(posedge aclk) if (started) begin
        portal_answers:  assert (rsp_valid == (due & ~own_due));
        portal_gets:     assert (~(rsp_valid & gave_due) | rsp_addr == 64'(address_due));
        own_is_answered: assert (~(due & own_due) | \pools.own_answered );
        own_gets:        assert (~(due & own_due & gave_due) | own_answer == 64'(address_due));
        own_has_asked:   assert (~own_done | own_valid | clear);
        // For the induction.
        pipe_is:    assert (\pools.acted == acted & \pools.shifted == acted_twice);
        owners_are: assert ((~acted | \pools.acted_own == own) & (~acted_twice | \pools.shifted_own == own_twice));
        gives_are:  assert ((~acted | \pools.gives == gave) & (~acted_twice | \pools.shifted_gives == gave_twice));
        address_is: assert (~(acted & gave) | address == \pools.popped_base
                            + (KEPT'({\pools.popped , 6'd0}) << \pools.popped_shift ));
        above_is:   assert (~(acted_twice & gave_twice) | address_twice == \pools.shifted_base + \pools.above );
        own_in_one_place: assert (3'(\pools.early_valid & \pools.early_own ) + 3'(\pools.late_valid & \pools.late_own )
                                  + 3'(acted & own) + 3'(acted_twice & own_twice) + 3'(\pools.own_answered )
                                  == 3'(\pools.own_taken ));
        own_waits: assert (~\pools.own_taken | (held & own_valid) | clear);
    end

    // ---- how the lists are kept: for the induction ---------------------------------------------------------------------
    function automatic logic [COUNT_BITS-1:0] places_of(
        input logic [BUFFERS*INDEX_BITS-1:0] numbers, input logic [COUNT_BITS-1:0] height, input int unsigned number
    );
        places_of = '0;
        for (int k = 0; k < BUFFERS; k++)
            places_of = places_of + COUNT_BITS'(k < height & numbers[k*INDEX_BITS +: INDEX_BITS] == number);
    endfunction

    logic heights, availables, offs, busies, stacks, bits, swept;
    always_comb begin
        {heights, availables, offs, busies, stacks, bits, swept} = '1;
        for (int p = 0; p < POOLS; p++) begin
            heights = heights & \pools.counts [p*COUNT_BITS +: COUNT_BITS] == ones(here[p*BUFFERS +: BUFFERS]);
            availables = availables & pool_available[p*32 +: 32] == 32'(ones(here[p*BUFFERS +: BUFFERS]));
            offs = offs & (pool_enabled[p] | ~|here[p*BUFFERS +: BUFFERS]);
            busies = busies & (~\pools.busy [p] | ~pool_enabled[p]);
            for (int i = 0; i < BUFFERS; i++) begin
                stacks = stacks & places_of(\pools.list.seen_numbers [p*BUFFERS*INDEX_BITS +: BUFFERS*INDEX_BITS],
                                            \pools.counts [p*COUNT_BITS +: COUNT_BITS], i) == COUNT_BITS'(here[p*BUFFERS+i]);
                bits = bits & (\pools.busy [p] | \pools.list.seen_bits [p*BUFFERS+i] == here[p*BUFFERS+i]);
                swept = swept & (~(\pools.list.sweeping & \pools.wipe_pool == p & i < \pools.list.sweep_at )
                                 | ~\pools.list.seen_bits [p*BUFFERS+i]);
            end
        end
    end
    always_ff @(posedge aclk) if (started) begin
        available_is: assert (availables);
        height_is:    assert (heights);
        off_is_empty: assert (offs);
        busy_is_off:  assert (busies);
        stack_is:     assert (stacks);
        bits_are:     assert (bits);
        swept_are:    assert (swept);
        sweeps_busy: assert (~\pools.list.sweeping | \pools.busy [\pools.wipe_pool ]);
        // What was read is what is there, where it counts.
        read_bit_is: assert (~(\pools.step == 1 & \pools.is_enabled ) | \pools.list.read_bit == number_is_here);
        read_number_is: assert (~(\pools.step == 1 & \pools.is_enabled & |mine)
            | \pools.list.read_number == \pools.list.seen_numbers [(\pools.late_pool * BUFFERS + \pools.count - 1) * INDEX_BITS +: INDEX_BITS]);
        late_read_is: assert (~(\pools.step == 2 & \pools.is_enabled )
            | (\pools.list.read_bit == \pools.is_in & \pools.list.read_number == \pools.top ));
        is_in_is: assert (~(\pools.step == 2 & \pools.is_enabled ) | \pools.is_in == number_is_here);
        top_is: assert (~(\pools.step == 2 & \pools.is_enabled & |mine)
            | \pools.top == \pools.list.seen_numbers [(\pools.late_pool * BUFFERS + \pools.count - 1) * INDEX_BITS +: INDEX_BITS]);
        full_is: assert (~(\pools.step == 2 & \pools.late_valid ) | \pools.is_full == (32'(\pools.count ) >= \pools.regs.capacity ));
        wiping_is: assert (~\pools.list.wiping | (~|pool_enabled & ~\pools.late_valid & ~\pools.early_valid ));
        steps: assert (\pools.step <= 2 & (~(\pools.acted | \pools.regs.acted ) | \pools.step == 0 | \pools.list.wiping ));
        // What step 1 has made is as the operation is.
        enabled_is: assert (\pools.step == 0 | \pools.is_enabled == pool_enabled[\pools.late_pool ]);
        more_is:  assert (\pools.count_more == COUNT_BITS'(\pools.count + 1'b1));
        count_is: assert (\pools.step == 0 | \pools.count == \pools.counts [\pools.late_pool * COUNT_BITS +: COUNT_BITS]);
        known_is: assert (~decides | (\pools.is_known == ~passes & (passes | \pools.known
            == (~works ? 3'd4 : \pools.late_outside ? 3'd0 : 3'd1))));
        writes_are: assert (~decides | ((~\pools.regs.enables | ~\pools.is_enabled ) & (~\pools.regs.forgets | \pools.is_enabled )
            & (~\pools.is_enabled | ~|\pools.regs.keeps [5:0]) & ~(\pools.regs.may_enable & \pools.busy [\pools.late_pool ])));
        may_be: assert (~decides | (\pools.frees == (op == 1) & \pools.takes == (op == 0 & works & |mine)
            & (op == 4 | ~(\pools.regs.enables | \pools.regs.forgets | |\pools.regs.keeps ))
            & \pools.returns == (op == 2 & \pools.is_enabled & ~\pools.late_outside )));
        pools_are: assert ((~\pools.late_valid | \pools.late_pool < POOLS) & (~\pools.early_valid | \pools.early_pool < POOLS)
                           & (~\pools.list.sweeping | \pools.wipe_pool < POOLS));
    end
endmodule

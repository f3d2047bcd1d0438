// What went wrong, device-wide: kinds, counts, the record of the first, and the vector (SPEC 4.4, 8).
//
// One error acts in one cycle: those that are reported, or those that ERR_STATUS_SET raises, the lowest kind first. The next
// waits until its vector is raised.
module bmu_errors (
    input  logic        aclk,
    input  logic        clear,

    input  logic        valid,          // an access, until it is done
    input  logic        write,
    input  logic [7:0]  offset,         // from 0x80 on
    input  logic [31:0] data,
    output logic        done,
    output logic [31:0] answer,

    input  logic        pools_valid,    // an error of a pool or of the register path, held until `ready`
    output logic        pools_ready,
    input  logic [3:0]  pools_kind,
    input  logic [2:0]  pools_source,
    input  logic [5:0]  pools_pool,
    input  logic [63:0] pools_address,
    input  logic        portals_valid,  // one of a portal
    output logic        portals_ready,
    input  logic [3:0]  portals_kind,
    input  logic [2:0]  portals_source,
    input  logic [5:0]  portals_pool,
    input  logic [5:0]  portals_portal,
    input  logic [63:0] portals_address,

    output logic        raise,          // ERR_VECTOR, held until `raise_ready`
    input  logic        raise_ready,
    output logic [4:0]  raise_vector
);
    localparam logic [7:0] STATUS       = 8'h80;
    localparam logic [7:0] STATUS_SET   = 8'h84;
    localparam logic [7:0] ENABLE_SET   = 8'h88;
    localparam logic [7:0] ENABLE_CLEAR = 8'h8c;
    localparam logic [7:0] RECORD       = 8'h90;
    localparam logic [7:0] ADDRESS      = 8'h98;
    localparam logic [7:0] ADDRESS_HIGH = 8'h9c;
    localparam logic [7:0] RECORD_CLEAR = 8'ha0;
    localparam logic [7:0] VECTOR       = 8'ha4;
    localparam logic [7:0] COUNT        = 8'hc0; // and one each kind

    localparam int unsigned KINDS = 9;
    localparam logic [2:0] INJECTED = 3'd4;
    localparam logic [31:0] MOST = 32'hffff_fffe;

    function automatic logic [3:0] lowest(input logic [KINDS-1:0] kinds);
        lowest = '0;
        for (int i = KINDS - 1; i >= 0; i--) if (kinds[i]) lowest = 4'(i);
    endfunction

    logic [KINDS-1:0] status, enabled;
    logic [4:0]       vector;
    logic [29:0]      record;
    logic [63:0]      address;
    logic             injecting;      // what a write of ERR_STATUS_SET brought is in `injected`
    logic [KINDS-1:0] injected;       // kinds that are still to be raised
    logic             portal_is_next; // where both report

    // ---- the error of this cycle ---------------------------------------------------------------------------------------
    wire injects = |injected;
    wire takes_portal = portals_valid & (portal_is_next | ~pools_valid);
    wire open = ~raise & ~valid; // for reports; an access has the cycle for itself
    wire happens = ~raise & injects | open & (pools_valid | portals_valid);
    assign portals_ready = open & ~injects & takes_portal;
    assign pools_ready   = open & ~injects & ~takes_portal;

    logic [3:0]  kind;
    logic [2:0]  source;
    logic [5:0]  pool, portal;
    logic [63:0] about;
    always_comb begin
        if (injects) begin
            {kind, source, pool, portal, about} = {lowest(injected), INJECTED, 6'd0, 6'd0, 64'd0};
        end else if (takes_portal) begin
            {kind, source, pool, portal, about} =
                {portals_kind, portals_source, portals_pool, portals_portal, portals_address};
        end else begin
            {kind, source, pool, portal, about} = {pools_kind, pools_source, pools_pool, 6'd0, pools_address};
        end
    end
    wire [15:0] one_hot = 16'd1 << kind;
    wire [KINDS-1:0] is_it = one_hot[KINDS-1:0];

    // ---- registers -----------------------------------------------------------------------------------------------------
    wire sets = valid & write & offset == STATUS_SET;
    assign done = valid & ~raise & (sets ? injecting & ~injects : 1'b1);
    wire writes = done & write;
    wire [KINDS-1:0] news = writes & offset == ENABLE_SET ? data[KINDS-1:0] & ~enabled : '0;

    always_ff @(posedge aclk) begin
        if (clear) begin
            status         <= '0;
            enabled        <= '0;
            vector         <= '0;
            record         <= '0;
            address        <= '0;
            injecting      <= 1'b0;
            injected       <= '0;
            portal_is_next <= 1'b0;
            raise          <= 1'b0;
        end else begin
            injecting <= sets & ~done;
            if (sets & ~injecting) injected <= data[KINDS-1:0];
            else if (happens) injected <= injected & ~is_it;
            if (pools_valid & pools_ready | portals_valid & portals_ready) portal_is_next <= ~takes_portal;

            if (happens) begin
                status <= status | is_it;
                if (~record[0]) begin
                    record  <= {portal, 2'd0, pool, 5'd0, source, kind, 3'd0, 1'b1};
                    address <= about;
                end
            end else if (writes) begin
                case (offset)
                    STATUS:       status <= status & ~data[KINDS-1:0];
                    ENABLE_SET:   enabled <= enabled | news;
                    ENABLE_CLEAR: enabled <= enabled & ~data[KINDS-1:0];
                    RECORD_CLEAR: if (data[0]) {record, address} <= '0;
                    VECTOR:       vector <= data[4:0];
                    default:      ;
                endcase
            end

            if (raise) raise <= ~raise_ready;
            else raise <= happens & |(is_it & enabled & ~status) | |(news & status);
        end
    end
    assign raise_vector = vector;

    // ---- counts --------------------------------------------------------------------------------------------------------
    // In a small memory, which no reset clears: a count that did not begin since then is 0.
    logic [31:0]      counts [16];
    logic [KINDS-1:0] began;
    logic [3:0]       counted; // the kind that is counted, in the cycle after it happened
    logic             happened;
    wire  [15:0]      counted_one = 16'd1 << counted;
    wire  [15:0]      asked_one = 16'd1 << offset[5:2];
    wire  [31:0]      so_far = |(counted_one[KINDS-1:0] & began) ? counts[counted] : 32'd0;
    wire  [31:0]      count = |(asked_one[KINDS-1:0] & began) ? counts[offset[5:2]] : 32'd0;

    always_ff @(posedge aclk) begin
        counted <= kind;
        if (clear) {happened, began} <= '0;
        else begin
            happened <= happens;
            if (happened) began <= began | counted_one[KINDS-1:0];
        end
    end
    always_ff @(posedge aclk) if (happened & so_far != MOST) counts[counted] <= so_far + 1'b1;

    logic [31:0] word;
    always_comb begin
        case (offset)
            STATUS, STATUS_SET:       word = 32'(status);
            ENABLE_SET, ENABLE_CLEAR: word = 32'(enabled);
            RECORD:                   word = {2'd0, record};
            ADDRESS:                  word = address[31:0];
            ADDRESS_HIGH:             word = address[63:32];
            VECTOR:                   word = 32'(vector);
            default:                  word = offset >= COUNT ? count : 32'd0;
        endcase
    end
    always_ff @(posedge aclk) answer <= word;

    wire unused = &{data[31:KINDS], one_hot[15:KINDS], counted_one[15:KINDS], asked_one[15:KINDS]};
endmodule

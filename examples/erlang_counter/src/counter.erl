%% Counts, in a table that outlives the process that counts.
-module(counter).
-behaviour(gen_server).

-export([start_link/1, count/2]).
-export([init/1, handle_call/3, handle_cast/2]).

-define(BLANKET, 'Elixir.Blanket').
-define(ETS, 'Elixir.Blanket.Table').

start_link(Name) -> gen_server:start_link({local, Name}, ?MODULE, Name, []).

count(Name, Key) -> gen_server:call(Name, {count, Key}).

%% The table is known by the name of the counter, and made the first time only.
init(Name) ->
    Made = {create_table, {Name, [set, private]}},
    case ?BLANKET:claim_table({?MODULE, Name}, [Made]) of
        {ok, Table} -> {ok, Table};
        {error, Reason} -> {stop, Reason}
    end.

handle_call({count, Key}, _From, Table) ->
    {reply, ?ETS:update_counter(Table, Key, 1, {Key, 0}), Table}.

handle_cast(_Message, Table) -> {noreply, Table}.

-module(erlang_counter).
-behaviour(application).
-behaviour(supervisor).

-export([start/2, stop/1]).
-export([init/1]).

start(_Type, _Arguments) -> supervisor:start_link({local, ?MODULE}, ?MODULE, []).

stop(_State) -> ok.

init([]) ->
    {ok, {#{strategy => one_for_one}, [#{id => visits, start => {counter, start_link, [visits]}}]}}.

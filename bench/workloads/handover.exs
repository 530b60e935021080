defmodule Bench.Handover.Bare do
  @moduledoc "A process that has no table, and is restarted as the others are."
  use GenServer

  def start_link({bench, _size}), do: GenServer.start_link(__MODULE__, bench)

  @impl true
  def init(bench) do
    Process.register(self(), __MODULE__)
    send(bench, {:ready, self(), System.monotonic_time()})
    {:ok, nil}
  end
end

defmodule Bench.Handover.Receiver do
  @moduledoc "One that has a table, as in the README."
  use GenServer
  use Blanket

  def start_link({bench, size}) do
    fill = fn t ->
      Bench.Loops.Blanket.insert(t, Bench.Data.objects(:integer, :flat, size, :random))
      :ok
    end

    {:ok, _heir} = Blanket.new(__MODULE__, __MODULE__, {__MODULE__, [:set]}, fill)
    GenServer.start_link(__MODULE__, bench)
  end

  @impl true
  def init(bench) do
    Process.register(self(), __MODULE__)
    {:ok, t} = Blanket.receive_table()
    send(bench, {:ready, self(), System.monotonic_time()})
    {:ok, t}
  end
end

defmodule Bench.Handover.Claimer do
  @moduledoc "One that claims its table."
  use GenServer

  def start_link({bench, size}), do: GenServer.start_link(__MODULE__, {bench, size})

  @impl true
  def init({bench, size}) do
    Process.register(self(), __MODULE__)
    {:ok, t} = Blanket.claim_table(__MODULE__, create_table: {__MODULE__, [:set]})
    send(bench, {:ready, self(), System.monotonic_time()})
    {:ok, t, {:continue, size}}
  end

  @impl true
  def handle_continue(size, t) do
    if Blanket.Table.info(t, :size) == 0,
      do: Bench.Loops.Blanket.insert(t, Bench.Data.objects(:integer, :flat, size, :random))

    {:noreply, t}
  end
end

defmodule Bench.Handover.Crowd do
  @moduledoc "One of many that are killed at once: with a table that it claims, or without one."
  use GenServer

  def start_link(bench, kind, number), do: GenServer.start_link(__MODULE__, {bench, kind, number})

  @impl true
  def init({bench, kind, number}) do
    table = if kind == :claims, do: claim(number)
    send(bench, {:ready, self(), System.monotonic_time()})
    {:ok, table}
  end

  @doc "The table that is kept under the number."
  def claim(number) do
    {:ok, t} = Blanket.claim_table({__MODULE__, number}, create_table: {__MODULE__, [:set]})
    t
  end

  @doc "Ends tables that are kept: they would wait for their owners for ever."
  def forget(tables) do
    for t <- tables do
      :ok = Blanket.abandon_table(t)
      Blanket.Table.delete(t)
    end
  end
end

defmodule Bench.Workloads.Handover do
  @moduledoc """
  From the death of an owner until the next one holds the table, compared with the restart of a process
  that has none. The two are killed in turn.
  """

  alias Bench.{Data, Row, Shape, Statistics}
  alias Bench.Handover.{Bare, Claimer, Crowd, Receiver}

  @group "hand-over: owner killed to next owner ready"

  @others 10_000
  @crowd 1_000

  def all(settings) do
    few_and_many =
      for {how, owner} <- [{"receive_table", Receiver}, {"claim_table", Claimer}],
          size <- [10, List.last(settings.sizes)] do
        {@group, size, how, &measure(how, owner, size, settings.kills, &1)}
      end

    among = "claim_table, #{Shape.count(@others)} other tables kept"
    crowd = "#{Shape.count(@crowd)} owners killed at once, until all are ready"
    idle = "an idle kept table, with its heir"

    few_and_many ++
      [
        {@group, 10, among, &among_others(among, settings.kills, &1)},
        {@group, 10, crowd, &crowd(crowd, &1)},
        {"memory", 0, idle, &idle(idle, &1)}
      ]
  end

  defp among_others(name, kills, progress) do
    numbers = 1..@others
    progress.("preparing")
    tables = for number <- numbers, do: Crowd.claim(number)
    [row] = measure(name, Claimer, 10, kills, progress)
    Crowd.forget(tables)
    [row]
  end

  # Each kind in turn, under a supervisor of its own.
  defp crowd(name, progress) do
    numbers = 1..@crowd
    crowds = for kind <- [:claims, :bare], do: {kind, start_crowd(kind, numbers)}

    times =
      for round <- 1..7, {kind, supervisor} <- crowds do
        progress.("round #{round} of 7")
        pids = for {_id, pid, _type, _modules} <- Supervisor.which_children(supervisor), do: pid
        killed = System.monotonic_time()
        for pid <- pids, do: Process.exit(pid, :kill)
        last = Enum.max(for _ <- pids, do: receive(do: ({:ready, _pid, at} -> at)))
        {kind, System.convert_time_unit(last - killed, :native, :nanosecond) / 1000}
      end

    for {_kind, supervisor} <- crowds, do: Supervisor.stop(supervisor)
    Crowd.forget(for number <- numbers, do: Crowd.claim(number))

    [
      %Row{
        group: @group,
        size: 10,
        name: name,
        unit: "us",
        figures:
          for {label, kind} <- [{"Blanket", :claims}, {"bare restart", :bare}] do
            {label, Statistics.of(for {^kind, time} <- times, do: time)}
          end,
        goal: {:above, 1_000_000}
      }
    ]
  end

  defp start_crowd(kind, numbers) do
    children = for n <- numbers, do: %{id: n, start: {Crowd, :start_link, [self(), kind, n]}}

    options = [strategy: :one_for_one, max_restarts: 1_000_000]
    {:ok, supervisor} = Supervisor.start_link(children, options)
    for _ <- numbers, do: receive(do: ({:ready, _pid, _at} -> :ok))
    supervisor
  end

  defp idle(name, progress) do
    numbers = 1..@others
    progress.("counting")
    {tables, plain} = grown(fn -> for _ <- numbers, do: Blanket.Table.new(:t, [:set]) end)
    for t <- tables, do: Blanket.Table.delete(t)
    {tables, kept} = grown(fn -> for number <- numbers, do: Crowd.claim(number) end)
    Crowd.forget(tables)

    [
      %Row{
        group: "memory",
        size: 0,
        name: name,
        unit: "bytes",
        figures: [{"kept", Statistics.of([kept])}],
        note: "One that is not kept takes #{round(plain)} B."
      }
    ]
  end

  # What `make` answers, and the bytes of the VM that each of it takes.
  defp grown(make) do
    :erlang.garbage_collect()
    before = :erlang.memory(:total)
    made = make.()
    :erlang.garbage_collect()
    # Until all heirs have come to rest.
    Process.sleep(1_000)
    {made, (:erlang.memory(:total) - before) / length(made)}
  end

  defp measure(name, owner, size, kills, progress) do
    progress.("preparing")
    Data.objects(:integer, :flat, size, :random)
    owners = for module <- [owner, Bare], into: %{}, do: {module, start(module, size)}
    # The table is full when the owner answers.
    :sys.get_state(owner)
    {_owners, times} = kills(owners, owner, kills, progress, [])
    for {_module, {supervisor, _pid}} <- owners, do: Supervisor.stop(supervisor)
    forget(owner)
    # The first ones warm up.
    times = Enum.drop(Enum.reverse(times), 10)

    [
      %Row{
        group: @group,
        size: size,
        name: name,
        unit: "us",
        figures:
          for {label, module} <- [{"Blanket", owner}, {"bare restart", Bare}] do
            {label, Statistics.of(Enum.map(times, &(&1[module] / 1000)))}
          end,
        goal: {:above, 100}
      }
    ]
  end

  defp start(module, size) do
    child = %{id: module, start: {module, :start_link, [{self(), size}]}}

    {:ok, supervisor} =
      Supervisor.start_link([child], strategy: :one_for_one, max_restarts: 1_000_000)

    receive do: ({:ready, pid, _at} -> {supervisor, pid})
  end

  defp kills(owners, _owner, 0, _progress, times), do: {owners, times}

  defp kills(owners, owner, left, progress, times) do
    if rem(left, 50) == 0, do: progress.("#{left} to go")
    turns = if rem(left, 2) == 0, do: [owner, Bare], else: [Bare, owner]

    {owners, time} =
      for module <- turns, reduce: {owners, %{}} do
        {owners, time} ->
          {supervisor, pid} = owners[module]
          killed = System.monotonic_time()
          Process.exit(pid, :kill)
          {next, ready} = receive do: ({:ready, next, ready} -> {next, ready})
          # Whatever the death of one set going is over before the next dies.
          Process.sleep(5)
          lasted = System.convert_time_unit(ready - killed, :native, :nanosecond)
          {Map.put(owners, module, {supervisor, next}), Map.put(time, module, lasted)}
      end

    kills(owners, owner, left - 1, progress, [time | times])
  end

  # The table would wait for its owner for ever.
  defp forget(owner) do
    ref = if owner == Claimer, do: Claimer, else: {Receiver, Receiver, Receiver}
    {:ok, t} = Blanket.claim_table(ref)
    :ok = Blanket.abandon_table(t)
    Blanket.Table.delete(t)
  end
end

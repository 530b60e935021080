defmodule Blanket.Hostile do
  @moduledoc """
  Calls every NIF stub directly, with arguments as `Blanket.HostileTerms` makes them.

  A call may answer, or raise `:badarg` or `:system_limit`, and nothing else. One that raises has changed
  nothing. One that answers has done to the table what the same call does to a table of `:ets`, and
  answers the same, where `:ets` has it; of stubs that are not known here, it has left a table in which
  all ways to read agree.
  """

  alias Blanket.{HostileTerms, MatchPrograms, Native, ReferenceTable, Table}

  @types [:set, :ordered_set, :bag, :duplicate_bag]

  # Those that make, open and copy files of any name.
  @files [
    durable_open: 1,
    durable_backup: 2,
    durable_restore: 2,
    durable_verify: 1,
    durable_closing: 1
  ]

  @doc "The stubs: all functions of `Blanket.Native` that the library takes the place of, but for files."
  @spec stubs() :: [{atom, arity}]
  def stubs, do: Native.__info__(:functions) -- ([load: 0] ++ @files)

  # Stubs that :ets has as well: the answer is the same up to the order in a bag.
  @same [
    insert: 2,
    insert_new: 2,
    lookup: 2,
    lookup_element: 3,
    lookup_element: 4,
    member: 2,
    delete: 2,
    delete_object: 2,
    delete_all_objects: 1,
    take: 2,
    update_counter: 3,
    update_counter: 4,
    update_element: 3,
    update_element: 4,
    tab2list: 1,
    fetch: 2,
    get: 3,
    delete_many: 2
  ]

  # Those that answer :uncovered for what is left to the VM.
  @searches [select: 2, select_reverse: 2, select_count: 2, select_delete: 2, select_replace: 2]

  # Those that change no object, and no owner.
  @reads [
    all: 0,
    compile_match_spec: 3,
    first: 1,
    first_lookup: 1,
    info: 1,
    is_match_spec: 1,
    kept: 0,
    kept: 1,
    kept_as: 1,
    last: 1,
    last_lookup: 1,
    lookup_many: 2,
    next: 2,
    next_lookup: 2,
    prev: 2,
    prev_lookup: 2,
    safe_fixtable: 2,
    scan: 2,
    select: 1,
    select: 3,
    select_reverse: 3,
    slot: 2,
    whereis: 1
  ]

  # Those that take a table from its owner, or from everybody.
  @ends [
    claim: 2,
    delete_table: 1,
    durable_delete: 1,
    give_away: 3,
    keep: 3,
    orphan: 1,
    rename: 2,
    setopts: 2,
    unkeep: 1,
    unkeep: 2
  ]

  # Those of transactions that change no object.
  @around_transactions [
    use_table: 1,
    watch: 1,
    end_watch: 1,
    join_turn: 1,
    leave_turn: 1,
    pass_turn: 0
  ]

  @commits [commit: 4, commit_large: 4]

  @doc "Those of which it is known here what they ought to do."
  @spec known() :: [{atom, arity}]
  def known do
    @same ++
      @searches ++
      @reads ++
      @ends ++ @around_transactions ++ @commits ++ [exchange: 3, new: 1, remove: 2]
  end

  @doc """
  Makes about `count` calls on tables that are compared with their models after each. Tells how many
  of them answered, of each stub.
  """
  @spec run(pos_integer, integer) :: %{{atom, arity} => pos_integer}
  def run(count, seed) do
    Code.ensure_loaded!(ReferenceTable)
    batch = 2_000
    seeds = Enum.map(1..max(1, div(count, batch)), &(seed * 1_000_003 + &1))

    Enum.reduce(seeds, %{}, fn seed, total ->
      alone(fn -> batch(batch, seed) end) |> Map.merge(total, fn _stub, one, two -> one + two end)
    end)
  end

  @doc """
  Makes `count` calls in each of `processes`, all on the same tables, with the same cursors and
  continuations. No call may answer what it must not, and in the end all ways to read must agree.
  """
  @spec run_together(pos_integer, pos_integer, integer) :: :ok
  def run_together(processes, count, seed) do
    alone(fn ->
      state = start(seed)

      1..processes
      |> Enum.map(fn number ->
        Task.async(fn ->
          :rand.seed(:exsss, seed * 1_000_003 + number)
          for _ <- 1..count, do: call_freely(state)
        end)
      end)
      |> Task.await_many(:infinity)

      for {_type, table} <- state.tables, do: consistent!(table.ref, "many processes")
      stop(state)
      :ok
    end)
  end

  # In a process of its own, whose death takes all with it that it has made.
  defp alone(fun) do
    task =
      Task.async(fn ->
        try do
          {:ok, fun.()}
        rescue
          error -> {:failed, error, __STACKTRACE__}
        end
      end)

    case Task.await(task, :infinity) do
      {:ok, answer} -> answer
      {:failed, error, stacktrace} -> reraise error, stacktrace
    end
  end

  defp batch(count, seed) do
    state = start(seed)
    stubs = List.to_tuple(stubs())

    state = Enum.reduce(1..count, state, fn _, state -> call(state, HostileTerms.pick(stubs)) end)

    for {_key, table} <- state.tables do
      consistent!(table.ref, "a batch")
      same_as_model!(table, "a batch")
    end

    stop(state)
    state.answered
  end

  ## A batch's tables, what it has got hold of, and processes that take what they are given

  defp start(seed) do
    :rand.seed(:exsss, seed)
    pids = for _ <- 1..2, do: spawn_link(&take_all/0)
    others = Native.all()
    tables = for type <- @types, keypos <- [1, 2], do: {{type, keypos}, table(type, keypos)}

    %{
      tables: Map.new(tables),
      pools: HostileTerms.pools(pids),
      pids: pids,
      loot: [],
      others: others,
      answered: %{}
    }
  end

  defp take_all do
    receive do
      :stop -> :ok
      _ -> take_all()
    end
  end

  defp table(type, keypos) do
    compressed = if keypos == 2, do: [:compressed], else: []
    ref = Table.new(:hostile, [type, :public, {:keypos, keypos} | compressed])
    twin = :ets.new(:hostile, [type, {:keypos, keypos}])
    fill(%{ref: ref, twin: twin, type: type, keypos: keypos})
  end

  defp fill(table) do
    for key <- HostileTerms.keys(), n <- 1..2 do
      object = object(table, key, n)
      Table.insert(table.ref, object)
      :ets.insert(table.twin, object)
    end

    table
  end

  # Tables that are kept, immortal or somebody else's must not stay behind.
  defp stop(state) do
    for pid <- state.pids do
      monitor = Process.monitor(pid)
      send(pid, :stop)
      receive do: ({:DOWN, ^monitor, _, _, _} -> :ok)
    end

    for table <- Native.all() -- state.others, do: remove(table)
    for {_key, %{twin: twin}} <- state.tables, do: :ets.delete(twin)
  end

  defp remove(table) do
    Native.unkeep(table)
    Native.claim(table, self())
    Native.delete_table(table)
  catch
    :error, :badarg -> :ok
  end

  ## A call

  defp call(state, stub) when stub in @commits do
    {name, _arity} = stub
    {used, args} = commit_args(state)
    outcome = outcome!({name, args})

    # One with nothing wrong in it is known to be done, or not.
    case {outcome, used} do
      {{:ok, true}, {tables, writes}} ->
        for {number, key, written} <- writes,
            do: write_to_twin(Enum.at(tables, number), key, written)

      {{:ok, true}, :mutated} ->
        for {_, table} <- state.tables, do: follow(table)

      _ ->
        :ok
    end

    for {_, table} <- state.tables do
      consistent!(table.ref, {name, args})
      same_as_model!(table, {name, args})
    end

    answered(state, stub, outcome)
  end

  defp call(state, {name, arity}) do
    args = args(state, {name, arity})
    table = table_of(state, args)
    if table && :ets.info(table.twin, :size) < 10, do: fill(table)
    outcome = outcome!({name, args})
    state = put_in(state.loot, loot(state.loot, outcome))

    state = answered(state, {name, arity}, outcome)

    case {table, outcome} do
      {nil, _} -> state
      {table, {:raised, _}} -> check_refused(state, table, {name, args})
      {table, {:ok, answer}} -> check_done(state, table, {name, args}, answer)
    end
  end

  # Nothing is known of the tables here: others change and delete what they like in them.
  defp call_freely(state) do
    {name, arity} = HostileTerms.pick(List.to_tuple(stubs() -- ([new: 1] ++ @ends)))
    outcome!({name, args(state, {name, arity})})
  end

  defp answered(state, stub, {:ok, _}),
    do: update_in(state.answered, &Map.update(&1, stub, 1, fn n -> n + 1 end))

  defp answered(state, _stub, _outcome), do: state

  defp args(_state, {_name, 0}), do: []

  defp args(state, stub) when stub in @commits, do: elem(commit_args(state), 1)

  defp args(state, {:join_turn, 1}) do
    refs = for {_, table} <- state.tables, do: table.ref
    [HostileTerms.pick({refs, Enum.take_random(refs, 2), [], value(state, 1)})]
  end

  defp args(state, {name, 1}) when name in [:end_watch, :leave_turn] do
    loot = for term <- state.loot, held <- [term, is_tuple(term) && elem_or_nil(term)], do: held
    [HostileTerms.pick(List.to_tuple([value(state, 1) | Enum.filter(loot, &is_reference/1)]))]
  end

  defp args(state, {_name, arity}) do
    first =
      if :rand.uniform(3) > 1,
        do: HostileTerms.pick(List.to_tuple(Map.values(state.tables))).ref,
        else: value(state, 1)

    [first | for(place <- 2..arity//1, do: value(state, place))]
  end

  # What a turn is answered in.
  defp elem_or_nil({}), do: nil
  defp elem_or_nil(tuple), do: elem(tuple, 0)

  # A commit of reads and writes in some tables, now and then with something wrong in it.
  defp commit_args(state) do
    tables = state.tables |> Map.values() |> Enum.take_random(:rand.uniform(3))
    numbered = Enum.with_index(tables)
    # Of equal keys only one.
    keys = [0, 2, :a, :b, "a", "ab", {1, 2}, [], String.duplicate("k", 100)]
    some = fn -> Enum.take_random(keys, :rand.uniform(4) - 1) end

    reads =
      for {table, number} <- numbered, key <- some.(), into: %{} do
        objects = :ets.lookup(table.twin, key)
        found = if :rand.uniform(6) == 1, do: value(state, 2), else: objects
        {{number, key}, if(objects != [] and :rand.uniform(3) == 1, do: true, else: found)}
      end

    writes =
      for {table, number} <- numbered, key <- some.(), do: {number, key, written(table, key)}

    write_set = Map.new(writes, fn {number, key, written} -> {{number, key}, written} end)

    watches =
      for {table, number} <- numbered, :rand.uniform(3) == 1, into: %{} do
        watch = Native.watch(table.ref)
        if :rand.uniform(2) == 1, do: Native.tab2list(watch), else: Native.first(watch)
        {number, watch}
      end

    refs = tables |> Enum.map(& &1.ref) |> List.to_tuple()
    args = [refs, reads, write_set, watches]

    if :rand.uniform(3) == 1 do
      at = :rand.uniform(4) - 1
      wrong = &HostileTerms.pick({value(state, 2), HostileTerms.mutate(&1, state.pools)})
      {:mutated, List.update_at(args, at, wrong)}
    else
      {{tables, writes}, args}
    end
  end

  defp written(table, key) do
    object = fn -> table |> object(key, :rand.uniform(3)) end

    if table.type in [:set, :ordered_set] do
      HostileTerms.pick({object.(), :delete})
    else
      for _ <- 1..:rand.uniform(4) do
        HostileTerms.pick({{:insert, object.()}, {:delete_object, object.()}, :delete})
      end
    end
  end

  defp object(%{keypos: 1}, key, n), do: {key, n, n}
  defp object(_table, key, n), do: {n, key, n}

  defp write_to_twin(table, key, operations) when is_list(operations) do
    for operation <- Enum.reverse(operations) do
      case operation do
        {:insert, object} -> :ets.insert(table.twin, object)
        {:delete_object, object} -> :ets.delete_object(table.twin, object)
        :delete -> :ets.delete(table.twin, key)
      end
    end
  end

  defp write_to_twin(table, key, :delete), do: :ets.delete(table.twin, key)
  defp write_to_twin(table, _key, object), do: :ets.insert(table.twin, object)

  # What is right for most stubs in that place comes more often than other values.
  defp value(state, place) do
    case :rand.uniform(2) do
      1 -> HostileTerms.likely(state.pools, place)
      2 -> HostileTerms.value(state.pools, List.to_tuple(state.loot))
    end
  end

  defp table_of(_state, []), do: nil

  defp table_of(state, [first | _]),
    do: Enum.find(Map.values(state.tables), &(&1.ref == first))

  defp outcome!({name, args} = call) do
    {:ok, apply(Native, name, args)}
  catch
    :error, reason when reason in [:badarg, :system_limit] -> {:raised, reason}
    kind, reason -> fail(call, "ends with #{inspect({kind, reason})}")
  end

  # Cursors, continuations and whatever else a stub hands out come back as arguments.
  defp loot(loot, {:ok, answer})
       when is_reference(answer) or is_tuple(answer),
       do: Enum.take([answer | loot], 30)

  defp loot(loot, _outcome), do: loot

  ## What has to be so afterwards

  defp check_refused(state, table, {name, args}) do
    same_as_model!(table, {name, args})
    stub = {name, length(args)}

    if stub in @same and expected(table, {name, args}) != {:raised, :badarg},
      do: fail({name, args}, "raises, and in :ets it does not")

    state
  end

  defp check_done(state, table, {name, args}, answer) do
    stub = {name, length(args)}

    cond do
      stub in @reads ->
        same_as_model!(table, {name, args})
        state

      stub in @same ->
        same_answer!(table, {name, args}, answer, expected(table, {name, args}))
        same_as_model!(table, {name, args})
        state

      stub in @searches and answer == :uncovered ->
        same_as_model!(table, {name, args})
        state

      stub in @searches and MatchPrograms.told_rightly?({name, tl(args)}, table.keypos) ->
        same_answer!(table, {name, args}, answer, expected(table, {name, args}))
        same_as_model!(table, {name, args})
        state

      match?({:error, _}, answer) ->
        same_as_model!(table, {name, args})
        state

      stub in @ends ->
        retire(state, table)

      true ->
        consistent!(table.ref, {name, args})
        follow(table)
        state
    end
  end

  defp expected(table, {name, [_ref | args]}) do
    module =
      if function_exported?(ReferenceTable, name, length(args) + 1),
        do: ReferenceTable,
        else: :ets

    {:ok, apply(module, name, [table.twin | args])}
  catch
    :error, reason when reason in [:badarg, :system_limit] -> {:raised, :badarg}
  end

  defp same_answer!(table, call, answer, expected) do
    if expected != :raised and comparable(table, {:ok, answer}) !== comparable(table, expected),
      do: fail(call, "answers #{inspect(answer)}, and :ets #{inspect(expected)}")
  end

  defp comparable(%{type: :ordered_set}, outcome), do: outcome
  defp comparable(_table, {:ok, list}) when is_list(list), do: {:ok, frequencies(list)}
  defp comparable(_table, outcome), do: outcome

  defp frequencies(list), do: if(List.improper?(list), do: list, else: Enum.frequencies(list))

  defp retire(state, %{type: type, keypos: keypos} = table) do
    :ets.delete(table.twin)
    put_in(state.tables[{type, keypos}], table(type, keypos))
  end

  defp follow(table) do
    :ets.delete_all_objects(table.twin)
    for object <- Native.tab2list(table.ref), do: :ets.insert(table.twin, object)
  end

  defp same_as_model!(table, call) do
    here = comparable(table, {:ok, Native.tab2list(table.ref)})
    there = comparable(table, {:ok, :ets.tab2list(table.twin)})

    if here !== there,
      do: fail(call, "leaves #{inspect(here)} in a #{table.type}, and not #{inspect(there)}")
  end

  # All ways to read a table show the same objects.
  defp consistent!(ref, call) do
    objects = Native.tab2list(ref)
    counted = Enum.frequencies(objects)
    info = Native.info(ref)
    key = &elem(&1, info.keypos - 1)

    ways = [
      size: List.duplicate(:object, info.size) == List.duplicate(:object, length(objects)),
      scan: Enum.frequencies(scanned(ref, :start)) == counted,
      lookup: Enum.all?(objects, &(&1 in Native.lookup(ref, key.(&1)))),
      select: Enum.frequencies(Native.select(ref, [{:"$1", [], [:"$1"]}])) == counted,
      keys: walked(ref) |> Enum.frequencies() |> same_keys?(Enum.frequencies_by(objects, key)),
      order: info.type != :ordered_set or objects == Enum.sort_by(objects, key)
    ]

    case for({way, false} <- ways, do: way) do
      [] -> :ok
      wrong -> fail(call, "leaves a table that is not at one with itself: #{inspect(wrong)}")
    end
  end

  # The walk ends before a key that looks like its end.
  defp same_keys?(_walked, %{:"$end_of_table" => _}), do: true
  defp same_keys?(walked, keys), do: walked == Map.new(keys, fn {key, _} -> {key, 1} end)

  defp scanned(_ref, :"$end_of_table"), do: []

  defp scanned(ref, from) do
    {objects, next} = Native.scan(ref, from)
    objects ++ scanned(ref, next)
  end

  defp walked(ref) do
    Native.first(ref)
    |> Stream.iterate(&Native.next(ref, &1))
    |> Enum.take_while(&(&1 != :"$end_of_table"))
  end

  defp fail({name, args}, complaint) do
    shown = Enum.map_join(args, ", ", &inspect(&1, limit: 100))
    raise "#{name}(#{shown}) #{complaint}"
  end

  defp fail(what, complaint), do: raise("#{what}: #{complaint}")
end

defmodule Blanket.TablePrograms do
  @moduledoc """
  Random programs, each run on `:ets` and on `Blanket.Table`: whatever a call answers or raises, and what
  the table holds in the end, has to be the same.
  """

  import :proper_types, except: [float: 0, tuple: 0, list: 0, atom: 0]

  alias Blanket.{Property, ReferenceTable, Table, Terms}

  ## Generators

  @doc """
  Programs of up to so many commands on a table of that type.
  """
  def program(type, length), do: tuple([type, range(1, 3), traits(), commands(length)])

  @doc """
  Names and options of `new/2`, for `run_new/1`.
  """
  def new, do: tuple([table_name(), options()])

  defp traits do
    list_of(3, elements([:named_table, :public, :private, :compressed, read_concurrency: true]))
  end

  defp commands(length), do: resize(length, list(resize(5, command())))

  defp command do
    frequency([
      {50, on_table(calls())},
      {5, tuple([:elsewhere, on_table(calls())])},
      {1,
       tuple([
         :bulk,
         elements([:insert, :insert_new]),
         range(0, 2000),
         range(0, 1500),
         range(1, 1500)
       ])}
    ])
  end

  # Calls by name and calls by reference, and now and then on what is no table.
  defp on_table(call),
    do: tuple([frequency([{30, :table}, {6, :name}, {1, :no_table}, {1, 17}]), call])

  defp calls do
    frequency([
      {10, call(:insert, [object()])},
      {4, call(:insert, [objects()])},
      {3, call(:insert_new, [object()])},
      {3, call(:insert_new, [objects()])},
      {5, call(:lookup, [key()])},
      {3, call(:lookup_element, [key(), position()])},
      {2, call(:lookup_element, [key(), position(), value()])},
      {2, call(:member, [key()])},
      {5, call(:delete, [key()])},
      {4, call(:delete_object, [object()])},
      {3, call(:take, [key()])},
      {4, call(:update_counter, [key(), operations()])},
      {4, call(:update_counter, [key(), operations(), object()])},
      {4, call(:update_element, [key(), elements_to_set()])},
      {2, call(:update_element, [key(), elements_to_set(), object()])},
      {2, call(:fetch, [key()])},
      {1, call(:get, [key(), value()])},
      {2, call(:lookup_many, [keys()])},
      {2, call(:delete_many, [keys()])},
      {1, call(:match_object, [pattern()])},
      {1, call(:match_delete, [pattern()])},
      {1, call(:select_count, [counting()])},
      {1, call(:select_delete, [counting()])},
      {1, call(:select_replace, [elements([[{:_, [], [:"$_"]}], [{:_, [], [true]}]])])},
      {1, call(:stream, [])},
      {1, rare(call(:through_file, []))},
      {1, call(:first, [])},
      {1, call(:last, [])},
      {3, call(:next, [key()])},
      {3, call(:prev, [key()])},
      {1, call(:first_lookup, [])},
      {1, call(:last_lookup, [])},
      {2, call(:next_lookup, [key()])},
      {2, call(:prev_lookup, [key()])},
      {2, call(:slot, [frequency([{4, range(0, 5)}, {1, elements([-1, :a, 1.0])}])])},
      {1, call(:safe_fixtable, [frequency([{4, elements([true, false])}, {1, :a}])])},
      {1, call(:tab2list, [])},
      {1, call(:foldl, [])},
      {1, call(:foldr, [])},
      {1, rare(call(:init_table, [objects()]))},
      {1, call(:info, [info_item()])},
      {1, call(:rename, [table_name()])},
      {1, call(:setopts, [changes()])},
      {1, rare(call(:delete_all_objects, []))},
      {1, rare(call(:give_away, [elements([:friend, :self, :dead, :nobody]), :gift]))},
      {1, rare(call(:delete, []))}
    ])
  end

  defp call(function, args), do: tuple([function, fixed_list(args)])
  defp rare(call), do: frequency([{1, call}, {7, call(:first, [])}])
  defp list_of(size, element), do: resize(size, list(element))

  # Terms stand in programs by their place in this list, for PropEr to shrink them, and because some
  # are of a kind that it takes for a generator.
  @terms 1..(length(Terms.numbers()) + length(Terms.others()))

  defp terms(kind) do
    with nil <- :persistent_term.get({__MODULE__, kind}, nil) do
      terms = if kind == :huge, do: Terms.huge(), else: Terms.numbers() ++ Terms.others()
      :persistent_term.put({__MODULE__, kind}, List.to_tuple([nil | terms]))
      terms(kind)
    end
  end

  @huge length(Terms.huge())

  defp key do
    frequency([
      {1200, range(0, 9)},
      {1000, tuple([:term, range(@terms.first, @terms.last)])},
      {1, tuple([:huge, range(1, @huge)])}
    ])
  end

  defp resolve(program, term \\ &elem(terms(&1), &2))

  defp resolve({kind, index}, term) when kind in [:term, :huge] and is_integer(index),
    do: term.(kind, index)

  defp resolve({:improper, [head | rest]}, term),
    do: [resolve(head, term) | resolve_tail(rest, term)]

  defp resolve(tuple, term) when is_tuple(tuple),
    do: tuple |> Tuple.to_list() |> resolve(term) |> List.to_tuple()

  defp resolve(list, term) when is_list(list), do: Enum.map(list, &resolve(&1, term))
  defp resolve(other, _term), do: other

  defp resolve_tail([], _term), do: :tail
  defp resolve_tail([head | rest], term), do: [resolve(head, term) | resolve_tail(rest, term)]

  defp keys, do: frequency([{6, list_of(6, key())}, {1, improper(key())}, {1, key()}])

  # :ets has a way of its own with maps in the key of a pattern.
  defp pattern do
    part = frequency([{3, :_}, {2, range(0, 9)}])
    frequency([{1, :_}, {6, tuple([part, part, part])}, {2, tuple([part, part, part, part])}])
  end

  defp counting do
    guards = elements([[], [{:>, {:element, 2, :"$_"}, 5}], [{:is_atom, {:element, 1, :"$_"}}]])
    bind(tuple([pattern(), guards]), fn {pattern, guards} -> [{pattern, guards, [true]}] end)
  end

  defp bind(generator, fun), do: :proper_types.bind(generator, fun, false)

  defp value, do: frequency([{4, range(0, 3)}, {1, key()}])

  defp object do
    frequency([
      {8, tuple([key(), value(), value()])},
      {5, tuple([key(), key(), key()])},
      {2, tuple([key(), value(), value(), key()])},
      {1, tuple([key()])},
      {1, tuple([key(), key()])},
      {1, {}},
      {1, key()}
    ])
  end

  defp objects do
    frequency([
      {10, list_of(12, tuple([range(0, 9), range(0, 2), range(0, 9)]))},
      {4, list_of(12, tuple([key(), key(), key(), value()]))},
      {1, list_of(5, object())},
      {1, improper(tuple([key(), key(), key()]))}
    ])
  end

  defp improper(element), do: tuple([:improper, non_empty(list_of(3, element))])

  defp position, do: frequency([{6, range(1, 4)}, {1, range(-1, 6)}, {1, elements([:a, 1.0])}])

  defp increment do
    frequency([{6, range(-3, 3)}, {1, elements([1.0, :a, 1_000_000_000_000_000_000_000])}])
  end

  defp operation do
    frequency([
      {3, increment()},
      {4, tuple([position(), increment()])},
      {3, tuple([position(), increment(), range(-5, 5), range(-5, 5)])},
      {1, elements([:a, {}, {1}, {2, 1, 1}, {2, 1, :a, 1}, {2, 1, 1, :a}])}
    ])
  end

  defp operations, do: one_or_several(operation())

  defp elements_to_set do
    one_or_several(
      frequency([{8, tuple([position(), key()])}, {1, elements([:a, {}, {1}, {2, 1, 1}])}])
    )
  end

  defp one_or_several(element) do
    frequency([{3, element}, {3, list_of(4, element)}, {1, improper(element)}])
  end

  defp info_item do
    elements([
      :size,
      :type,
      :keypos,
      :protection,
      :name,
      :named_table,
      :owner,
      :heir,
      :fixed,
      :age
    ])
  end

  defp table_name, do: elements([:blanket_program_a, :blanket_program_b, "name", nil])

  defp changes do
    one_or_several(
      elements([
        {:protection, :public},
        {:protection, :protected},
        {:protection, :private},
        {:protection, :none},
        {:heir, :none},
        {:heir, self(), :data},
        {:heir, :none, :data},
        {:keypos, 2},
        :public
      ])
    )
  end

  defp options do
    frequency([
      {8, list_of(6, option())},
      {1, improper(option())},
      {1, option()}
    ])
  end

  defp option do
    frequency([
      {4, elements([:set, :ordered_set, :bag, :duplicate_bag])},
      {4, elements([:public, :protected, :private, :named_table, :compressed])},
      {2, tuple([:keypos, elements([1, 2, 3, 1000, 0, -1, 1.0, 1_000_000_000_000_000_000_000])])},
      {2, tuple([:read_concurrency, elements([true, false])])},
      {3, tuple([:write_concurrency, elements([true, false, :auto])])},
      {3, tuple([:decentralized_counters, elements([true, false])])},
      {2, elements([{:heir, :none}, {:heir, self(), :data}, {:heir, Process.whereis(:init), 1}])},
      {1,
       elements([
         :fast,
         :none,
         {:read_concurrency, :auto},
         {:write_concurrency, 1},
         {:heir, :none, 1},
         {:heir, self(), 1, 2},
         {:named_table, true},
         {:set},
         "set"
       ])}
    ])
  end

  @doc """
  A program with its terms in place, but for the huge ones.
  """
  def present(program) do
    resolve(program, fn
      :term, index -> elem(terms(:term), index)
      :huge, index -> {:huge, index}
    end)
  end

  ## Running

  @doc """
  Runs a program. Answers `:ok` or a complaint.
  """
  def run({type, keypos, traits, commands}) do
    Property.count(length(commands))
    {friend, monitor} = spawn_monitor(fn -> Process.sleep(:infinity) end)
    name = :"blanket_program_#{type}"

    sides =
      for module <- [ReferenceTable, Table] do
        table = module.new(name, [type, {:keypos, keypos} | traits])
        %{module: module, table: module.info(table, :id), friend: friend}
      end

    try do
      step(commands, sides, {type, keypos})
    after
      Process.exit(friend, :kill)

      receive do
        {:DOWN, ^monitor, :process, ^friend, :killed} -> :ok
      end

      for %{module: module, table: table} <- sides, do: discard(module, table)
    end
  end

  # The friend's table is deleted with him, or comes back to its heir.
  defp discard(module, table) do
    cond do
      module.info(table, :owner) == :undefined -> :ok
      module.info(table, :owner) == self() -> module.delete(table)
      true -> discard(module, table)
    end
  end

  defp step([command | commands], [reference, blanket], {type, keypos} = shape) do
    command = resolve(command)
    expected = perform(command, reference, keypos)
    got = perform(command, blanket, keypos)

    with :ok <-
           Property.compare(
             command,
             answer(command, expected, type, reference),
             answer(command, got, type, blanket)
           ),
         :ok <- well_told(got) do
      step(commands, [reference, blanket], shape)
    end
  end

  defp step([], [reference, blanket], {type, keypos}) do
    Property.compare(
      :contents,
      contents(reference, type, keypos),
      contents(blanket, type, keypos)
    )
  end

  # An error says which argument is to blame, and the stack trace which call.
  defp well_told({:raised, :error, :badarg, [{Table, _function, args, _info} | _] = stacktrace})
       when is_list(args) do
    if Exception.format_banner(:error, :badarg, stacktrace) =~ " argument: ",
      do: :ok,
      else: "an error without a reason: #{inspect(hd(stacktrace))}"
  end

  # What init_table/2 makes of it.
  defp well_told({:raised, :exit, {_reason, [_ | _]}, _stacktrace}), do: :ok

  defp well_told({:raised, _, _, _} = raised),
    do: "not an error of :ets's kind: #{inspect(raised)}"

  defp well_told(_answer), do: :ok

  # Waits for the process's end, which releases what it fixed.
  defp perform({:elsewhere, command}, side, keypos) do
    task = Task.async(fn -> perform(command, side, keypos) end)
    monitor = Process.monitor(task.pid)
    result = Task.await(task, :infinity)

    receive do
      {:DOWN, ^monitor, :process, _pid, _reason} -> result
    end
  end

  defp perform({:bulk, function, from, count, distinct}, side, keypos) do
    objects = for i <- 1..count//1, do: {i, i, i} |> put_elem(keypos - 1, from + rem(i, distinct))
    perform({:table, {function, [objects]}}, side, keypos)
  end

  defp perform({which, {:through_file, []}}, side, _keypos) do
    {:ok, through_file(side.module, table(which, side))}
  catch
    kind, reason -> {:raised, kind, reason, __STACKTRACE__}
  end

  defp perform({which, {function, args}}, side, _keypos) do
    args = Enum.map(args, &arg(&1, side))
    answer = apply(side.module, function, arguments(function, table(which, side), args))
    {:ok, if(function == :stream, do: Enum.to_list(answer), else: answer)}
  catch
    kind, reason -> {:raised, kind, reason, __STACKTRACE__}
  end

  # Writes the table to a file and reads it back, which the name allows only where it is free.
  defp through_file(module, table) do
    path =
      Path.join(
        System.tmp_dir!(),
        "program-#{System.os_time()}-#{System.unique_integer([:positive])}"
      )

    file = String.to_charlist(path)

    try do
      with :ok <- module.tab2file(table, file, extended_info: [:object_count, :md5sum]),
           {:ok, copy} <- module.file2tab(file, verify: true) do
        objects = module.tab2list(copy)
        module.delete(copy)
        if module.info(table, :type) == :ordered_set, do: objects, else: Enum.frequencies(objects)
      end
    after
      File.rm(path)
    end
  end

  defp arguments(fold, table, []) when fold in [:foldl, :foldr], do: [&[&1 | &2], [], table]

  defp arguments(:init_table, table, [objects]),
    do: [table, fn :read -> {objects, fn :read -> :end_of_input end} end]

  defp arguments(_function, table, args), do: [table | args]

  defp table(:table, side), do: side.table
  defp table(:no_table, _side), do: :blanket_no_such_table
  defp table(17, _side), do: 17

  defp table(:name, side) do
    case side.module.info(side.table, :named_table) do
      true -> side.module.info(side.table, :name)
      _ -> side.table
    end
  end

  defp arg(:friend, side), do: side.friend
  defp arg(:self, _side), do: self()
  defp arg(:dead, _side), do: :c.pid(0, 3, 4095)
  defp arg(arg, _side), do: arg

  ## What of an answer has to be the same

  defp answer({:elsewhere, command}, result, type, side), do: answer(command, result, type, side)

  # Hash tables may begin anywhere, and go on anywhere; when they are fixed, from any key.
  defp answer({_which, {function, [_key]}} = command, result, type, side)
       when function in [:next, :prev, :next_lookup, :prev_lookup] and type != :ordered_set do
    case {result, side.module.info(side.table, :fixed)} do
      {_result, true} -> :a_key
      {{:ok, _}, _fixed} -> :a_key
      {raised, _fixed} -> raised(command, raised)
    end
  end

  defp answer(command, {:raised, _, _, _} = raised, _type, _side), do: raised(command, raised)

  defp answer({_which, {function, []}}, {:ok, objects}, type, _side)
       when function in [:tab2list, :foldl, :foldr, :stream] and type != :ordered_set,
       do: Enum.frequencies(objects)

  defp answer({_which, {:match_object, _args}}, {:ok, objects}, type, _side)
       when type != :ordered_set,
       do: Enum.frequencies(objects)

  defp answer({_which, {function, []}}, {:ok, key}, type, _side)
       when function in [:first, :last, :first_lookup, :last_lookup] and type != :ordered_set,
       do: key == :"$end_of_table"

  # Which objects are in which slot is the implementation's.
  defp answer({_which, {:slot, [_slot]}}, {:ok, objects}, type, _side)
       when is_list(objects) and type != :ordered_set,
       do: :a_slot

  defp answer(_command, {:ok, table}, _type, %{table: table}) when is_reference(table), do: :table
  defp answer(_command, {:ok, answer}, _type, _side), do: answer

  defp raised({_which, {:init_table, _}}, {:raised, :exit, {_reason, _stack}, _stacktrace}),
    do: :exit

  defp raised(_command, {:raised, kind, reason, _stacktrace}), do: {kind, reason}

  defp contents(%{module: module, table: table}, type, keypos) do
    cond do
      module.info(table) == :undefined -> :undefined
      module.info(table, :owner) != self() -> module.info(table, :size)
      type == :ordered_set -> {module.tab2list(table), keys(module, table)}
      true -> by_key(module, table, keypos)
    end
  end

  defp by_key(module, table, keypos) do
    objects = module.tab2list(table)
    keys = keys(module, table)

    %{
      size: module.info(table, :size),
      objects: Enum.frequencies(objects),
      keys: Enum.frequencies(keys),
      listed: Enum.frequencies(for key <- keys, object <- module.lookup(table, key), do: object),
      by_key: Map.new(keys, &{&1, module.lookup(table, &1)}),
      keys_listed: objects |> Enum.map(&elem(&1, keypos - 1)) |> MapSet.new()
    }
  end

  defp keys(module, table) do
    module.first(table)
    |> Stream.iterate(&module.next(table, &1))
    |> Enum.take_while(&(&1 != :"$end_of_table"))
  end

  @doc """
  Makes a table on either side and compares what is told of it.
  """
  def run_new({name, options}) do
    options = resolve(options)

    Property.compare(
      {:new, [name, options]},
      created(:ets, name, options),
      created(Table, name, options)
    )
  end

  defp created(module, name, options) do
    table = module.new(name, options)
    info = module.info(table) |> Keyword.drop([:id, :memory | unclear(options)])
    module.delete(table)
    info
  catch
    :error, :badarg -> :badarg
  end

  # :ets counts as it would for an ordered_set even when another type is said after it.
  defp unclear(options) do
    if Enum.count([:ordered_set, :bag, :duplicate_bag], &(&1 in options)) > 1,
      do: [:decentralized_counters],
      else: []
  end
end

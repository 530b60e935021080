defmodule Blanket.Transaction.State do
  @moduledoc false

  # What a transaction has read and is going to write, in the dictionary of its process. So nothing is
  # left behind when that is killed, and nobody else can use it.
  #
  # Keys that a table takes for the same have one place: the number of the table in the transaction,
  # and the key, in an ordered_set with integers for equal floats.

  alias Blanket.Native
  alias Blanket.Transaction

  @key :"$blanket_transaction"

  # Objects of one key of a bag that are remembered one by one; with more, the part of the table is watched.
  @few 32

  @typep place :: {non_neg_integer, term}

  @typedoc "A table, as a transaction uses it."
  @type used ::
          {number :: non_neg_integer, reference, type :: atom, keypos :: pos_integer, rights}

  @type rights :: :read | :write | :snapshot

  @typedoc "What was found under a key: its objects, or that there is one at least."
  @type found :: [tuple] | true

  @typedoc "What becomes of a key: for a bag operations, the last one first."
  @type written :: tuple | :delete | [{:insert | :delete_object, tuple} | :delete]

  @type t ::
          {id :: integer, tables :: [{term, used}], references :: [reference],
           places :: %{place => found | {found | :unread, written}},
           watches :: %{non_neg_integer => reference}, written? :: boolean}

  @doc "Begins a transaction in this process."
  @spec begin(integer) :: :ok
  def begin(id) do
    put({id, [], [], %{}, %{}, false})
    :ok
  end

  @doc "Ends it."
  @spec finish() :: t
  def finish, do: :erlang.erase(@key)

  @doc "The transaction of this process, if it is in one."
  @spec current() :: t | nil
  def current do
    with :undefined <- :erlang.get(@key), do: nil
  end

  @doc "The state of a transaction of this process."
  @spec of(Transaction.t()) :: t
  def of(%Transaction{id: id}) do
    case :erlang.get(@key) do
      {^id, _, _, _, _, _} = state -> state
      _ -> :erlang.error(:badarg)
    end
  end

  def of(_other), do: :erlang.error(:badarg)

  @doc "Takes back what was written since; what was read stays."
  @spec undo_to(t) :: :ok
  def undo_to({id, _, _, before, _, written?}) do
    {^id, tables, references, places, watches, _} = :erlang.get(@key)
    put({id, tables, references, undo(places, before), watches, written?})
    :ok
  end

  defp undo(places, before) do
    for {place, now} <- places, what = undone(now, before[place]), into: %{}, do: {place, what}
  end

  defp undone({found, _written}, {_found, written}), do: {found, written}
  defp undone({:unread, _written}, _not_written), do: nil
  defp undone({found, _written}, _not_written), do: found
  defp undone(found, _not_written), do: found

  @spec references(t) :: [reference]
  def references({_, _, references, _, _, _}), do: references

  ## Tables

  @doc "The table that a name or a reference stands for from here on."
  @spec use_table(t, Blanket.Table.table()) :: {t, used}
  def use_table({_, [{table, used} | _], _, _, _, _} = state, table), do: {state, used}

  def use_table({_, tables, _, _, _, _} = state, table) do
    case List.keyfind(tables, table, 0) do
      {_table, used} -> {state, used}
      nil -> begin_use(state, table)
    end
  end

  @doc "The same for one that is written."
  @spec use_to_write(t, Blanket.Table.table()) :: {t, used}
  def use_to_write(state, table) do
    {_state, {_, _, _, _, rights}} = using = use_table(state, table)
    if rights == :write, do: using, else: :erlang.error(:badarg)
  end

  defp begin_use({id, tables, references, places, watches, written?}, table) do
    {reference, type, keypos, rights} = Native.use_table(table)

    {used, references} =
      case List.keyfind(tables, reference, 0) do
        {_reference, used} ->
          {used, references}

        nil when rights == :snapshot ->
          {{-1, reference, type, keypos, rights}, references}

        nil ->
          {{length(references), reference, type, keypos, rights}, [reference | references]}
      end

    tables = [{reference, used} | tables]
    tables = if is_atom(table), do: [{table, used} | tables], else: tables
    state = {id, tables, references, places, watches, written?}
    put(state)
    {state, used}
  end

  @doc "The table in one that is read in its place, so that the commit knows which parts of it were read."
  @spec watch(t, used) :: {t, reference}
  def watch(state, {_, reference, _, _, :snapshot}), do: {state, reference}

  def watch(
        {id, tables, references, places, watches, written?} = state,
        {number, reference, _, _, _}
      ) do
    case watches do
      %{^number => watch} ->
        {state, watch}

      _ ->
        watch = Native.watch(reference)
        state = {id, tables, references, places, Map.put(watches, number, watch), written?}
        put(state)
        {state, watch}
    end
  end

  @spec end_watches(t) :: :ok
  def end_watches({_, _, _, _, watches, _}),
    do: Enum.each(watches, fn {_number, watch} -> Native.end_watch(watch) end)

  ## Keys

  @doc "The objects of a key, as the transaction sees them."
  @spec read(t, used, term) :: [tuple]
  def read({_, _, _, places, _, _} = state, {number, _, type, _, _} = used, key) do
    place = {number, canonical(type, key)}

    case places do
      %{^place => objects} when is_list(objects) -> objects
      %{^place => {_found, object}} when is_tuple(object) -> [object]
      %{^place => {_found, :delete}} -> []
      %{^place => {_found, operations}} -> operate(operations, state, used, place, key)
      _ -> found(state, used, place, key)
    end
  end

  @doc "Whether a key has objects, as the transaction sees it."
  @spec member?(t, used, term) :: boolean
  def member?({_, _, _, places, _, _} = state, {number, _, type, _, _} = used, key) do
    place = {number, canonical(type, key)}

    case places do
      %{^place => found} when is_list(found) or found == true -> found != []
      %{^place => _written} -> read(state, used, key) != []
      _ -> find_member(state, used, place, key)
    end
  end

  defp find_member(_state, {_, reference, _, _, :snapshot}, _place, key),
    do: Native.member(reference, key)

  defp find_member(state, {_, reference, _, _, _}, place, key) do
    found? = Native.member(reference, key)
    remember(state, place, found? || [])
    found?
  end

  # What the table has.
  defp found(_state, {_, reference, _, _, :snapshot}, _place, key),
    do: Native.lookup(reference, key)

  defp found({id, _, _, places, _, _} = state, used, place, key) do
    case places do
      %{^place => {objects, _written}} when is_list(objects) ->
        objects

      %{^place => found} when found == true or elem(found, 0) == true ->
        # Who has seen that there is one is not to see none now, also where it catches this.
        with [] <- find(state, used, place, key) do
          put(state)
          throw({:"$blanket_conflict", id})
        end

      _ ->
        find(state, used, place, key)
    end
  end

  defp find(state, {_, reference, type, _, _}, place, key) when type in [:set, :ordered_set],
    do: remember(state, place, Native.lookup(reference, key))

  defp find(state, {_, reference, _bag, _, _} = used, place, key) do
    objects = Native.lookup(reference, key)

    if length(objects) <= @few do
      remember(state, place, objects)
    else
      {_state, watch} = watch(state, used)
      Native.lookup(watch, key)
    end
  end

  defp remember({id, tables, references, places, watches, written?}, place, found) do
    what =
      case places do
        %{^place => {_found, written}} -> {found, written}
        _ -> found
      end

    put({id, tables, references, Map.put(places, place, what), watches, written?})
    found
  end

  # Of a bag.
  defp operate([], state, used, place, key), do: found(state, used, place, key)
  defp operate([:delete | _before], _state, _used, _place, _key), do: []

  defp operate([{:insert, object} | before], state, {_, _, type, _, _} = used, place, key) do
    objects = operate(before, state, used, place, key)

    if type == :bag and Enum.any?(objects, &(&1 === object)),
      do: objects,
      else: objects ++ [object]
  end

  defp operate([{:delete_object, object} | before], state, used, place, key) do
    objects = operate(before, state, used, place, key)
    Enum.reject(objects, &(&1 === object))
  end

  @doc "Has an object be inserted."
  @spec insert(t, used, tuple) :: t
  def insert(state, {_, _, type, keypos, _} = used, object)
      when type in [:set, :ordered_set],
      do: write(state, used, elem(object, keypos - 1), object)

  def insert(state, {_, _, _, keypos, _} = used, object),
    do: operate_later(state, used, elem(object, keypos - 1), {:insert, object})

  @doc "Has the objects of a key be deleted."
  @spec delete(t, used, term) :: t
  def delete(state, {_, _, type, _, _} = used, key) when type in [:set, :ordered_set],
    do: write(state, used, key, :delete)

  def delete(state, used, key), do: write(state, used, key, [:delete])

  @doc "Has an object be deleted."
  @spec delete_object(t, used, tuple) :: t
  def delete_object(state, {_, _, type, keypos, _} = used, object)
      when type in [:set, :ordered_set] do
    key = elem(object, keypos - 1)

    case read(state, used, key) do
      [there] when there === object -> delete(:erlang.get(@key), used, key)
      _ -> :erlang.get(@key)
    end
  end

  def delete_object(state, {_, _, _, keypos, _} = used, object),
    do: operate_later(state, used, elem(object, keypos - 1), {:delete_object, object})

  defp operate_later({_, _, _, places, _, _} = state, {number, _, _, _, _} = used, key, operation) do
    before =
      case places do
        %{{^number, ^key} => {_found, operations}} -> operations
        _ -> []
      end

    write(state, used, key, [operation | before])
  end

  defp write(
         {id, tables, references, places, watches, _},
         {number, _, type, _, _},
         key,
         written
       ) do
    place = {number, canonical(type, key)}

    what =
      case places do
        %{^place => {found, _written}} -> {found, written}
        %{^place => found} -> {found, written}
        _ -> {:unread, written}
      end

    put({id, tables, references, Map.put(places, place, what), watches, true})
  end

  @doc "The keys that were written in a table."
  @spec own(t, used) :: %{term => written}
  def own({_, _, _, _, _, false}, _used), do: %{}

  def own({_, _, _, places, _, true}, {number, _, _, _, _}),
    do: for({{^number, key}, {_found, written}} <- places, into: %{}, do: {key, written})

  @doc "The key by which those are known that a table takes for the same."
  @spec canonical(atom, term) :: term
  def canonical(:ordered_set, key), do: canonical(key)
  def canonical(_type, key), do: key

  defp canonical(key) when is_integer(key) or is_binary(key) or is_atom(key), do: key

  defp canonical(key) when is_float(key) do
    whole = trunc(key)
    if whole == key, do: whole, else: key
  end

  defp canonical([head | tail]), do: [canonical(head) | canonical(tail)]

  defp canonical(key) when is_tuple(key),
    do: key |> Tuple.to_list() |> Enum.map(&canonical/1) |> List.to_tuple()

  # Of maps the keys have to be identical, the values not.
  defp canonical(key) when is_map(key), do: :maps.map(fn _key, value -> canonical(value) end, key)
  defp canonical(key), do: key

  defp put(state) do
    :erlang.put(@key, state)
    state
  end
end

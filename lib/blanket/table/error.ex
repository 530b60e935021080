defmodule Blanket.Table.Error do
  @moduledoc false

  # Finds out why a call failed, so that the error names the argument and the reason. It is found when
  # the call fails and not when the error is printed: by then the table may be gone, and another
  # process may ask. :ets keeps its causes in the stack trace too.

  alias Blanket.{Native, Transaction}
  alias Blanket.Table.Options
  alias Blanket.Transaction.State

  # The least integer that the VM does not keep in a word.
  @large 0x800_0000_0000_0000

  @typep reasons :: %{pos_integer => term}

  @doc """
  The error_info of a call that failed with these arguments.
  """
  @spec info(atom, [term]) :: map
  def info(function, args),
    do: %{module: __MODULE__, cause: diagnose(function, args, &Native.lookup/2)}

  @doc """
  The same of a call on a table in a transaction, which comes first.
  """
  @spec in_transaction(atom, [term]) :: map
  def in_transaction(function, [tx | args]) do
    reasons =
      if current?(tx) do
        lookup = fn table, key -> Transaction.lookup(tx, table, key) end
        for {position, reason} <- diagnose(function, args, lookup), do: {position + 1, reason}
      else
        [{1, :no_transaction}]
      end

    %{module: __MODULE__, cause: Map.new(reasons)}
  end

  defp current?(tx) do
    State.of(tx)
    true
  catch
    :error, :badarg -> false
  end

  @doc """
  The error_info of a call whose argument at this position is wrong for that reason.
  """
  @spec of(pos_integer, term) :: map
  def of(position, reason), do: %{module: __MODULE__, cause: %{position => reason}}

  @doc """
  Tells by argument what was wrong, as `erl_error` and `ArgumentError` ask for it.
  """
  @spec format_error(term, [tuple]) :: %{optional(pos_integer) => String.t()}
  def format_error(:badarg, [{_module, _function, _args, location} | _]) do
    reasons = Keyword.get(location, :error_info, %{})[:cause] || %{}
    Map.new(reasons, fn {position, reason} -> {position, explain(reason)} end)
  end

  # What has to be known of objects, `lookup` tells.
  @spec diagnose(atom, [term], (term, term -> [tuple])) :: reasons
  defp diagnose(:new, [name, options], _lookup) do
    case merge([{1, name(name)}, {2, options(Options.read(options))}]) do
      none when none == %{} -> %{1 => name_taken(name)}
      reasons -> reasons
    end
  end

  defp diagnose(:whereis, [name], _lookup), do: merge([{1, name(name)}])
  defp diagnose(:verify, [path], _lookup), do: merge([{1, path(path)}])

  defp diagnose(:restore, [backup, path], _lookup),
    do: merge([{1, path(backup)}, {2, path(path)}])

  defp diagnose(function, [continuation], _lookup)
       when function in [:match, :match_object, :select, :select_reverse] do
    with true <- is_tuple(continuation) and tuple_size(continuation) > 0,
         {:error, reason} when reason != :not_a_table <- facts(elem(continuation, 0), :read) do
      %{1 => {:continuation, reason}}
    else
      _ -> %{1 => :not_a_continuation}
    end
  end

  defp diagnose(:repair_continuation, [_continuation, spec], _lookup),
    do: merge([{2, match_spec(spec)}])

  defp diagnose(function, [tables], lookup)
       when function in [:snapshot, :release] and is_list(tables) do
    first_wrong =
      first_wrong(tables, fn table ->
        case if(is_list(table), do: :not_a_table, else: diagnose(function, [table], lookup)[1]) do
          right when right == nil or (right == :released and function == :release) -> nil
          reason -> {:among, table, reason}
        end
      end)

    merge([{1, first_wrong}])
  end

  defp diagnose(function, [table | args], lookup) do
    case facts(table, needed(function)) do
      {:ok, facts} -> with_table(function, Map.put(facts, :lookup, lookup), [table | args])
      {:error, reason} -> Map.put(without_table(function, args), 1, reason)
    end
  end

  # What a call has to be allowed to do with its table.
  defp needed(function)
       when function in [
              :lookup,
              :lookup_element,
              :member,
              :tab2list,
              :match,
              :match_object,
              :select,
              :select_reverse,
              :select_count,
              :first,
              :last,
              :next,
              :prev,
              :first_lookup,
              :last_lookup,
              :next_lookup,
              :prev_lookup,
              :slot,
              :safe_fixtable,
              :fetch,
              :fetch!,
              :get,
              :lookup_many,
              :stream,
              :tab2file,
              :to_dets,
              :backup,
              :snapshot,
              :release
            ],
       do: :read

  defp needed(function) when function in [:info, :table], do: :nothing
  defp needed(function) when function in [:setopts, :give_away], do: :own
  defp needed(_function), do: :write

  defp facts(table, needed) do
    case Native.info(table) do
      :undefined ->
        {:error, if(Native.is_snapshot(table), do: :released, else: {:no_table, table})}

      facts ->
        allowed(facts, facts.owner == self(), needed)
    end
  catch
    :error, :badarg -> {:error, :not_a_table}
  end

  defp allowed(%{snapshot: true}, _owner?, :write), do: {:error, :snapshot}
  defp allowed(facts, false, :own), do: {:error, {:not_owner, facts.owner}}

  defp allowed(%{protection: :private}, false, needed) when needed != :nothing,
    do: {:error, {:no_access, :private}}

  defp allowed(%{protection: :protected}, false, :write), do: {:error, {:no_access, :protected}}

  defp allowed(%{durable: {path, sync, {:error, reason}}}, _owner?, :write) when sync != :manual,
    do: {:error, {:unwritten, path, reason}}

  defp allowed(facts, _owner?, _needed), do: {:ok, facts}

  ## What can be told without a table

  defp without_table(function, [objects]) when function in [:insert, :insert_new],
    do: merge([{2, objects(objects, 0)}])

  defp without_table(:delete_object, [object]), do: merge([{2, object(object, 0)}])

  defp without_table(:compare_and_swap, [old, new]),
    do: merge([{2, object(old, 0)}, {3, object(new, 0)}])

  defp without_table(:update, [_key, default, fun | _answer]),
    do: merge([{3, object(default, 0)}, {4, fun(fun)}])

  defp without_table(:lookup_element, [_key, pos | _]), do: merge([{3, position(pos)}])
  defp without_table(:slot, [slot]), do: merge([{2, slot(slot)}])
  defp without_table(:safe_fixtable, [fix?]), do: merge([{2, boolean(fix?)}])

  defp without_table(function, [keys]) when function in [:lookup_many, :delete_many],
    do: merge([{2, keys(keys)}])

  defp without_table(:rename, [name]), do: merge([{2, name(name)}])
  defp without_table(:give_away, [pid, _data]), do: merge([{2, new_owner(pid)}])

  defp without_table(:setopts, [options]),
    do: merge([{2, options(Options.read_changes(options))}])

  defp without_table(:update_counter, [_key, operations | default]),
    do: merge([{3, operations(operations)}, {4, default(default, 0)}])

  defp without_table(:update_element, [_key, elements | default]),
    do: merge([{3, elements(elements)}, {4, default(default, 0)}])

  defp without_table(function, [pattern | limit])
       when function in [:match, :match_object, :match_delete],
       do: merge([{2, pattern(pattern)}, {3, limit(limit)}])

  defp without_table(function, [spec | limit])
       when function in [
              :select,
              :select_reverse,
              :select_count,
              :select_delete,
              :select_replace
            ],
       do: merge([{2, match_spec(spec)}, {3, limit(limit)}])

  defp without_table(:stream, [spec]), do: merge([{2, match_spec(spec)}])
  defp without_table(:backup, [path]), do: merge([{2, path(path)}])
  defp without_table(_function, _args), do: %{}

  ## What can be told of a call on a table that it may use

  defp with_table(function, facts, [_table, objects]) when function in [:insert, :insert_new],
    do: merge([{2, objects(objects, facts.keypos)}])

  defp with_table(:delete_object, facts, [_table, object]),
    do: merge([{2, object(object, facts.keypos)}])

  defp with_table(function, _facts, [_table, _key])
       when function in [:next, :prev, :next_lookup, :prev_lookup],
       do: %{2 => :no_key}

  defp with_table(:slot, _facts, [_table, slot]),
    do: merge([{2, slot(slot) || :beyond_last_slot}])

  defp with_table(:setopts, %{snapshot: true}, _args), do: %{1 => :snapshot}
  defp with_table(:snapshot, %{snapshot: true}, _args), do: %{1 => :no_snapshot_of_snapshot}
  defp with_table(:release, %{snapshot: false}, _args), do: %{1 => :not_a_snapshot}
  defp with_table(:info, facts, [_table, :binary]), do: %{1 => {:no_access, facts.protection}}
  defp with_table(:info, _facts, [_table, _item]), do: %{2 => :not_an_item}

  defp with_table(:table, _facts, [_table, _options]), do: %{2 => :not_query_options}

  defp with_table(function, _facts, [_table, _dets]) when function in [:from_dets, :to_dets],
    do: %{2 => :not_a_dets_table}

  defp with_table(:rename, _facts, [_table, name]),
    do: merge([{2, name(name) || name_taken(name)}])

  defp with_table(:give_away, facts, [_table, pid, _data]),
    do: merge([{2, new_owner(pid) || if(pid == facts.owner, do: :already_owner, else: :dead)}])

  defp with_table(:lookup_element, facts, [table, key, pos | _default]) do
    reason = position(pos)

    cond do
      reason -> %{3 => reason}
      objects_under(facts, table, key) == [] -> %{2 => :no_key}
      true -> %{3 => {:beyond_object, pos}}
    end
  end

  defp with_table(function, %{type: type}, _args)
       when function in [
              :update_counter,
              :update_element,
              :compare_and_swap,
              :update,
              :fetch,
              :fetch!,
              :get
            ] and type in [:bag, :duplicate_bag],
       do: %{1 => {:table_type, type}}

  defp with_table(:compare_and_swap, facts, [_table, old, new]) do
    [old_reason, new_reason] = for given <- [old, new], do: object(given, facts.keypos)
    new_reason = new_reason || if(old_reason == nil, do: other_key(old, new, facts))
    merge([{2, old_reason}, {3, new_reason}])
  end

  defp with_table(:update, facts, [_table, _key, default, fun]),
    do: merge([{3, object(default, facts.keypos)}, {4, fun(fun)}])

  defp with_table(:update, facts, [_table, _key, _default, _fun, answer]),
    do: %{4 => {:answer, answer, object(answer, facts.keypos) || :other_key}}

  defp with_table(:update_counter, facts, [table, key, operations | default]) do
    default_reason = default(default, facts.keypos)
    objects = objects_under(facts, table, key) ++ Enum.filter(default, &is_tuple/1)

    case {operations(operations), objects} do
      {nil, [object | _]} ->
        merge([{3, counters(operations, object, facts.keypos)}, {4, default_reason}])

      {nil, []} when default == [] ->
        %{2 => :no_key}

      {reason, []} when default == [] ->
        merge([{2, :no_key}, {3, reason}])

      {reason, _objects} ->
        merge([{3, reason}, {4, default_reason}])
    end
  end

  defp with_table(:update_element, facts, [table, key, elements | default]) do
    default_reason = default(default, facts.keypos)

    reason =
      case objects_under(facts, table, key) ++ default do
        [object | _] when default_reason == nil -> places(elements, object, facts.keypos)
        _ -> nil
      end

    merge([{3, elements(elements) || reason}, {4, default_reason}])
  end

  defp with_table(:select_replace, %{type: :bag}, _args), do: %{1 => {:table_type, :bag}}

  defp with_table(:select_replace, _facts, [_table, spec]),
    do: %{2 => match_spec(spec) || :key_not_kept}

  defp with_table(function, _facts, [_table | args]), do: without_table(function, args)

  ## One argument

  defp name(name), do: if(not is_atom(name), do: :not_an_atom)

  # It may be free again by now.
  defp name_taken(name) do
    case Native.info(name) do
      %{owner: owner, id: table} -> {:name_taken, name, owner, Native.kept_as(table)}
      :undefined -> :name_taken
    end
  catch
    :error, :badarg -> :name_taken
  end

  defp options({:ok, _}), do: nil
  defp options({:error, reason}), do: reason

  defp position(pos) when not is_integer(pos), do: :not_an_integer
  defp position(pos) when pos < 1, do: :out_of_range
  defp position(_pos), do: nil

  defp slot(slot) when not is_integer(slot), do: :not_an_integer
  defp slot(slot) when slot < 0, do: :negative_slot
  defp slot(_slot), do: nil

  defp boolean(value), do: if(not is_boolean(value), do: :not_a_boolean)

  defp keys(keys) when not is_list(keys), do: :not_a_list
  defp keys(keys), do: first_wrong(keys, fn _key -> nil end)

  defp new_owner(pid) when not is_pid(pid), do: :not_a_pid
  defp new_owner(pid) when node(pid) != node(), do: :remote
  defp new_owner(_pid), do: nil

  defp object(object, _keypos) when not is_tuple(object), do: :not_a_tuple
  defp object({}, _keypos), do: :empty_tuple
  defp object(object, keypos) when tuple_size(object) < keypos, do: {:too_small, keypos}
  defp object(_object, _keypos), do: nil

  defp objects(objects, keypos) when is_list(objects) do
    first_wrong(objects, fn object ->
      case object(object, keypos) do
        nil -> nil
        reason -> {:in_list, object, reason}
      end
    end)
  end

  defp objects(object, _keypos) when not is_tuple(object), do: :not_objects
  defp objects(object, keypos), do: object(object, keypos)

  defp fun(fun), do: if(not is_function(fun, 1), do: :not_a_fun)

  defp other_key(old, new, %{keypos: keypos, type: type}) do
    same? = if type == :ordered_set, do: &==/2, else: &===/2
    if not same?.(elem(old, keypos - 1), elem(new, keypos - 1)), do: :other_key
  end

  defp default([], _keypos), do: nil
  defp default([default], keypos), do: object(default, keypos)

  # A mere increment stands alone: in a list, every operation says where.
  defp operations(operations) when is_list(operations), do: first_wrong(operations, &operation/1)
  defp operations(increment) when is_integer(increment), do: nil
  defp operations(operation), do: operation(operation)

  defp operation({pos, increment}) when is_integer(pos) and is_integer(increment), do: nil

  defp operation({pos, increment, threshold, reset})
       when is_integer(pos) and is_integer(increment) and is_integer(threshold) and
              is_integer(reset),
       do: nil

  defp operation(operation), do: {:not_an_operation, operation}

  defp elements(elements) when is_list(elements), do: first_wrong(elements, &element/1)
  defp elements(element), do: element(element)

  defp element({pos, _value}) when is_integer(pos), do: nil
  defp element(element), do: {:not_an_element, element}

  defp counters(operations, object, keypos) do
    first_wrong(List.wrap(operations), fn operation ->
      pos = if is_integer(operation), do: keypos + 1, else: elem(operation, 0)

      place(pos, object, keypos) ||
        if not is_integer(elem(object, pos - 1)), do: {:not_a_counter, pos}
    end)
  end

  defp places(elements, object, keypos) do
    if elements(elements) == nil do
      first_wrong(List.wrap(elements), fn {pos, _value} -> place(pos, object, keypos) end)
    end
  end

  defp place(keypos, _object, keypos), do: {:key_position, keypos}
  defp place(pos, object, _keypos) when pos in 1..tuple_size(object)//1, do: nil
  defp place(pos, _object, _keypos), do: {:beyond_object, pos}

  defp pattern(pattern), do: if(match_spec([{pattern, [], [true]}]), do: :not_a_pattern)

  # :ets takes an empty one for a search, though it does not compile it.
  defp match_spec([]), do: nil

  defp match_spec(spec) do
    :ets.match_spec_compile(spec)
    nil
  rescue
    ArgumentError -> :not_a_match_spec
  end

  defp limit([limit]) when not is_integer(limit), do: :not_an_integer
  defp limit([limit]) when limit < 1, do: :not_positive
  defp limit([limit]) when limit >= @large, do: :too_large
  defp limit(_limit), do: nil

  defp first_wrong([term | terms], check), do: check.(term) || first_wrong(terms, check)
  defp first_wrong([], _check), do: nil
  defp first_wrong(_tail, _check), do: :improper_list

  defp objects_under(%{lookup: lookup}, table, key) do
    lookup.(table, key)
  catch
    :error, :badarg -> []
  end

  defp path(path), do: if(Options.path(path) == :error, do: :not_a_path)

  defp merge(reasons),
    do: for({position, reason} when reason != nil <- reasons, into: %{}, do: {position, reason})

  ## In words

  @doc """
  Why something could not be done with a durable table's file.
  """
  @spec file_reason(term) :: String.t()
  def file_reason(:already_open), do: "another table, or another program, has it open"
  def file_reason(:not_a_durable_table), do: "it is no durable table's file"

  def file_reason({:other_table, type, keypos}),
    do: "it is that of a table of the type #{inspect(type)} with the key position #{keypos}"

  def file_reason({:format, format}),
    do: "it was written by another version of Blanket, in the format #{inspect(format)}"

  def file_reason({:damaged, what}),
    do: "it is not what was written there (#{what}). Blanket.Table.restore/2 restores a backup"

  def file_reason(:moved_or_deleted), do: "it was moved or deleted"
  def file_reason(reason) when is_atom(reason), do: "#{:file.format_error(reason)}"
  def file_reason(reason) when is_binary(reason), do: reason

  defp explain({:durable, path, reason}),
    do: "the file #{path} cannot be opened: #{file_reason(reason)}"

  defp explain({:unwritten, path, reason}) do
    "the file #{path} cannot be written: #{file_reason(reason)}. The table can be read; changes are refused " <>
      "until Blanket.Table.flush/1, or the table itself by and by, has written the last ones"
  end

  defp explain(:not_a_table), do: "neither the reference nor the name of a table"

  defp explain({:no_table, name}) when is_atom(name) do
    "the table identifier does not refer to an existing table: none with :named_table has this name " <>
      "now. Create it first; one that is to outlive its owner is kept by Blanket.new/4"
  end

  defp explain({:no_table, _reference}) do
    "the table identifier does not refer to an existing table: it was deleted, or its owner exited and " <>
      "it was not kept. Blanket.new/4 keeps a table for the next owner"
  end

  defp explain({:no_access, protection}),
    do: "insufficient access rights: the table is #{protection} and owned by another process"

  defp explain(:snapshot), do: "a snapshot, which can be read but not changed"
  defp explain(:no_snapshot_of_snapshot), do: "a snapshot already, of which none can be taken"
  defp explain(:not_a_snapshot), do: "a table, not a snapshot of one"

  defp explain(:no_transaction) do
    "no transaction of this process that is going on: use it in the function that " <>
      "Blanket.transaction/2 calls, and in the process that calls it"
  end

  defp explain(:released), do: "the snapshot was released, or its owner has exited"
  defp explain({:among, table, reason}), do: "#{show(table)} in the list: #{explain(reason)}"

  defp explain({:not_owner, :none}), do: "the table has no owner, and only its owner may do this"

  defp explain({:not_owner, pid}),
    do: "the table is owned by #{inspect(pid)}, and only its owner may do this"

  defp explain({:table_type, type}),
    do: "not possible on a #{type}: a key may have many objects there"

  defp explain(:no_key), do: "not an existing key"
  defp explain(:not_an_atom), do: "not an atom"
  defp explain(:not_a_path), do: "not a file's path"
  defp explain(:name_taken), do: "the name belongs to another table"

  defp explain({:name_taken, name, owner, kept_as}),
    do: "the name belongs to another table, #{taken_by(name, owner, kept_as)}"

  defp explain({:option, {:durable, _path, options} = option}) when options != [] do
    "not a valid option: #{show(option)}. Beside its path, a durable table has sync: :always, :manual or " <>
      "{:interval, milliseconds}, and progress: a function of two arguments"
  end

  defp explain({:option, option}), do: "not a valid option: #{show(option)}"
  defp explain(:improper_list), do: "not a proper list"
  defp explain(:not_an_item), do: "not an item of the table's info"
  defp explain(:not_a_pattern), do: "not a valid match pattern"
  defp explain(:not_a_match_spec), do: "not a valid match specification"
  defp explain(:key_not_kept), do: "the match specification may change the key"
  defp explain(:not_positive), do: "out of range: less than 1"
  defp explain(:too_large), do: "out of range: too large"
  defp explain(:not_a_continuation), do: "not a valid continuation"
  defp explain({:continuation, reason}), do: "not a usable continuation: #{explain(reason)}"
  defp explain(:not_an_integer), do: "not an integer"
  defp explain(:not_query_options), do: "not valid options of a query handle"

  defp explain(:not_a_dets_table),
    do: "not an open dets table, or one whose objects do not fit: see its key position"

  defp explain(:not_a_fun), do: "not a function of one argument"
  defp explain(:other_key), do: "its key is another one"
  defp explain({:answer, answer, reason}), do: "it answered #{show(answer)}: #{explain(reason)}"
  defp explain(:not_a_boolean), do: "neither true nor false"
  defp explain(:not_a_list), do: "not a list"
  defp explain(:negative_slot), do: "out of range: the first slot is 0"
  defp explain(:beyond_last_slot), do: "out of range: beyond the end of the table"
  defp explain(:out_of_range), do: "out of range: the first element is at 1"
  defp explain({:beyond_object, pos}), do: "the object has no element at #{pos}"

  defp explain({:key_position, pos}),
    do: "the element at #{pos} is the key, which cannot be changed"

  defp explain({:not_a_counter, pos}), do: "the element at #{pos} is not an integer"

  defp explain({:not_an_operation, operation}),
    do: "not a valid update operation: #{show(operation)}"

  defp explain({:not_an_element, element}), do: "not a valid {position, value}: #{show(element)}"
  defp explain(:not_a_pid), do: "not a pid"
  defp explain(:remote), do: "a process of another node"
  defp explain(:dead), do: "the process is not alive"
  defp explain(:already_owner), do: "the process owns the table already"
  defp explain(:not_objects), do: "neither a tuple nor a list of tuples"
  defp explain(:not_a_tuple), do: "not a tuple"
  defp explain(:empty_tuple), do: "a tuple without elements has no key"

  defp explain({:too_small, keypos}),
    do: "the tuple has fewer elements than the key position, #{keypos}"

  defp explain({:in_list, object, reason}), do: "#{show(object)} in the list: #{explain(reason)}"

  defp taken_by(name, :none, {:ok, _ref}) do
    "which is kept and waits for its next owner: that gets it by Blanket.receive_table/2 or " <>
      "Blanket.claim_table/2, or any process by Blanket.Table.claim(#{inspect(name)})"
  end

  defp taken_by(name, :none, {:error, _}),
    do: "an orphan: Blanket.Table.claim(#{inspect(name)}) makes it the caller's"

  defp taken_by(_name, owner, {:ok, _ref}),
    do: "which is kept and owned by #{inspect(owner)}: choose another name"

  defp taken_by(_name, owner, {:error, _}),
    do: "owned by #{inspect(owner)}: choose another name, or delete that table first"

  defp show(term), do: inspect(term, limit: 10, printable_limit: 100)
end

defmodule Blanket.Transaction.Elements do
  @moduledoc false

  # Changes of an object's elements, as update_counter and update_element make them in a table.

  @doc "The object after the operations, and their results."
  @spec count(tuple, pos_integer, term) :: {tuple, integer | [integer]}
  def count(object, keypos, operations) when is_list(operations) do
    if List.improper?(operations), do: badarg()

    {results, object} =
      Enum.map_reduce(operations, object, fn operation, object ->
        {object, result} = add(object, keypos, operation)
        {result, object}
      end)

    {object, results}
  end

  def count(object, keypos, increment) when is_integer(increment),
    do: add(object, keypos, {keypos + 1, increment})

  def count(object, keypos, operation), do: add(object, keypos, operation)

  defp add(object, keypos, {pos, increment}) when is_integer(increment) do
    result = counter(object, keypos, pos) + increment
    {put_elem(object, pos - 1, result), result}
  end

  defp add(object, keypos, {pos, increment, threshold, reset})
       when is_integer(increment) and is_integer(threshold) and is_integer(reset) do
    sum = counter(object, keypos, pos) + increment
    beyond? = if increment < 0, do: sum < threshold, else: sum > threshold
    result = if beyond?, do: reset, else: sum
    {put_elem(object, pos - 1, result), result}
  end

  defp add(_object, _keypos, _operation), do: badarg()

  defp counter(object, keypos, pos) do
    value = element(object, keypos, pos)
    if is_integer(value), do: value, else: badarg()
  end

  @doc "The object with other elements."
  @spec set(tuple, pos_integer, term) :: {tuple, true}
  def set(object, keypos, elements) when is_list(elements) do
    if List.improper?(elements), do: badarg()
    {Enum.reduce(elements, object, &set_one(&2, keypos, &1)), true}
  end

  def set(object, keypos, element), do: {set_one(object, keypos, element), true}

  defp set_one(object, keypos, {pos, value}) do
    element(object, keypos, pos)
    put_elem(object, pos - 1, value)
  end

  defp set_one(_object, _keypos, _element), do: badarg()

  defp element(object, keypos, pos)
       when is_integer(pos) and pos >= 1 and pos <= tuple_size(object) and pos != keypos,
       do: elem(object, pos - 1)

  defp element(_object, _keypos, _pos), do: badarg()

  defp badarg, do: :erlang.error(:badarg)
end
